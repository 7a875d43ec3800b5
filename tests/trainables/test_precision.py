"""Which numbers the convolutions compute in, and the reason that a row gives."""

import pytest
import torch

from salun_grid.trainables import precision
from salun_grid.trainables.precision import Precision, precision_on
from salun_grid.trainables.protocol import PRECISIONS, ModelConfig

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("asked", "units", "wanted"),
    [
        ("fp32", "amx_bf16", Precision("fp32", "asked for")),
        ("fp32", "", Precision("fp32", "asked for")),
        ("bf16", "amx_bf16", Precision("bf16", "asked for; amx_bf16")),
        ("bf16", "", Precision("bf16", "asked for; emulated, no bf16 arithmetic in this cpu")),
        ("auto", "amx_bf16", Precision("bf16", "auto: amx_bf16")),
        ("auto", "", Precision("fp32", "auto: no bf16 arithmetic in this cpu")),
    ],
)
def test_what_is_asked_meets_what_the_device_has(monkeypatch, asked, units, wanted):
    monkeypatch.setattr(precision, "bf16_arithmetic", lambda device: units)
    assert precision_on(CPU, ModelConfig(precision=asked), 8, 64) == wanted


@pytest.mark.parametrize(
    ("config", "size", "name"),
    [  # each measured, see docs/performance.md
        ({}, 28, "bf16"),
        ({"width": 16}, 28, "bf16"),
        ({"width": 8}, 28, "fp32"),
        ({"stem": "imagenet"}, 28, "fp32"),
        ({"stem": "imagenet"}, 64, "bf16"),
        ({"architecture": "resnet50"}, 64, "bf16"),
        ({"architecture": "densenet121"}, 64, "bf16"),
        ({"architecture": "vit_small"}, 28, "bf16"),
    ],
)
def test_auto_is_bf16_where_a_cpu_gains_by_it(monkeypatch, config, size, name):
    monkeypatch.setattr(precision, "bf16_arithmetic", lambda device: "avx512_bf16")
    assert precision_on(CPU, ModelConfig(precision="auto", **config), 8, size).name == name


def test_auto_is_bf16_on_a_gpu_whatever_the_sizes(monkeypatch):
    monkeypatch.setattr(precision, "bf16_arithmetic", lambda device: "tensor cores")
    config = ModelConfig(precision="auto", stem="imagenet")
    assert precision_on(torch.device("cuda"), config, 8, 28) == Precision("bf16", "auto: tensor cores")


def test_the_reason_names_the_limit(monkeypatch):
    monkeypatch.setattr(precision, "bf16_arithmetic", lambda device: "avx512_bf16")
    few = precision_on(CPU, ModelConfig(precision="auto", stem="imagenet"), 8, 28)
    assert few.reason == "auto: 3 multiply-accumulates per weight; bf16 is reliably faster on a CPU from 8"
    narrow = precision_on(CPU, ModelConfig(precision="auto", width=8), 8, 28)
    assert (
        narrow.reason
        == "auto: 7 million multiply-accumulates per image; bf16 is reliably faster on a CPU from 10 million"
    )


@pytest.mark.parametrize(("capability", "tf32"), [((9, 0), True), ((7, 5), False)])
def test_a_gpu_whose_fp32_rounds_to_tf32_says_so(monkeypatch, capability, tf32):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    found = precision_on(torch.device("cuda"), ModelConfig(), 8, 64)
    assert (found.name, "TF32" in found.reason) == ("fp32", tf32)


@pytest.mark.parametrize("has", ["amx_bf16", "avx512_bf16"])
def test_a_cpus_units_are_found(monkeypatch, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, has: True})
    assert precision.bf16_arithmetic(CPU) == has
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, has: False})
    assert precision.bf16_arithmetic(CPU) == ""


def test_a_device_always_has_one_of_the_two():
    for asked in PRECISIONS:
        assert precision_on(CPU, ModelConfig(precision=asked), 8, 64).name in ("fp32", "bf16")
