"""Which numbers the convolutions compute in, and the reason that a row gives."""

import pytest
import torch

from salun_grid.trainables import precision
from salun_grid.trainables.precision import Precision, on_device, precision_on
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
    assert precision_on(CPU, asked) == wanted
    assert on_device(ModelConfig(precision=asked), CPU).precision == wanted.name


@pytest.mark.parametrize(("capability", "tf32"), [((9, 0), True), ((7, 5), False)])
def test_a_gpu_whose_fp32_rounds_to_tf32_says_so(monkeypatch, capability, tf32):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    found = precision_on(torch.device("cuda"), "fp32")
    assert (found.name, "TF32" in found.reason) == ("fp32", tf32)


@pytest.mark.parametrize("has", ["amx_bf16", "avx512_bf16"])
def test_a_cpus_units_are_found(monkeypatch, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, has: True})
    assert precision.bf16_arithmetic(CPU) == has
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, has: False})
    assert precision.bf16_arithmetic(CPU) == ""


def test_a_device_always_has_one_of_the_two():
    for asked in PRECISIONS:
        assert on_device(ModelConfig(precision=asked), CPU).precision in ("fp32", "bf16")
