"""The memory layout that a model gets, and that no width corrupts memory in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.layout import memory_layout
from salun_grid.trainables.protocol import ModelConfig

# Each malloc and free checks the heap, so a write past a buffer aborts the process.
CHECKED_MALLOC = {"GLIBC_TUNABLES": "glibc.malloc.check=3", "LD_PRELOAD": "libc_malloc_debug.so.0"}
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
STEP = """
import torch
from salun_grid.trainables.architectures import build_model
from salun_grid.trainables.protocol import ModelConfig
for width in (2, 4, 7, 8, 15, 16):
    model = build_model(ModelConfig(width=width), 5, 0)
    images = torch.zeros(4, 3, 64, 64, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    for _ in range(2):
        model(images).sum().backward()
print("clean")
"""


@pytest.mark.parametrize(
    ("width", "name"), [(1, "contiguous"), (15, "contiguous"), (16, "channels_last"), (64, "channels_last")]
)
def test_the_layout_follows_the_channel_counts(width: int, name: str) -> None:
    layout = memory_layout(build_model(ModelConfig(width=width), 5, 0))
    assert layout.name == name
    assert ("layer2.0.downsample.0" in layout.reason) == (name == "contiguous")


def test_a_model_without_strided_1x1_convolutions_is_channels_last() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 8, 1))
    assert memory_layout(model).name == "channels_last"


@pytest.mark.parametrize("width", [4, 16])
def test_weights_and_activations_have_the_layout(width: int) -> None:
    model = build_model(ModelConfig(width=width), 5, 0)
    layout, seen = memory_layout(model).format, []
    model.layer1.register_forward_hook(lambda module, inputs, output: seen.append(output))
    model(torch.zeros(2, 3, 28, 28, dtype=torch.uint8).contiguous(memory_format=torch.channels_last))
    assert seen[0].is_contiguous(memory_format=layout)
    assert model.layer1[0].conv1.weight.is_contiguous(memory_format=layout)


@pytest.mark.slow
@pytest.mark.parametrize("instructions", [{}, AVX2], ids=["own", "avx2"])
def test_no_width_corrupts_memory(instructions: dict[str, str]) -> None:
    """Fails with an abort or a segmentation fault where such a model is channels_last."""
    environment = {**os.environ, **CHECKED_MALLOC, **instructions, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", STEP], env=environment, cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "clean\n"), done.stderr[-500:]
