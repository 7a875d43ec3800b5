"""Resolve the compute dtype of a device, with the reason."""

from dataclasses import dataclass, replace

import torch

from salun_grid.trainables.protocol import ModelConfig


@dataclass(frozen=True)
class Precision:
    """A compute dtype: `name` is fp32 or bf16, `reason` a few words on why it was chosen."""

    name: str
    reason: str

    def of(self, config: ModelConfig) -> ModelConfig:
        """`config` with this precision."""
        return replace(config, precision=self.name)


def precision_on(device: torch.device, asked: str) -> Precision:
    """Resolve `model.precision` on `device`: `auto` is bf16 if the device has native bf16 arithmetic, else fp32."""
    native = bf16_arithmetic(device)
    if asked == "auto":
        return Precision("bf16" if native else "fp32", f"auto: {native or f'no bf16 arithmetic in this {device.type}'}")
    if asked == "bf16":
        return Precision("bf16", f"asked for; {native or f'emulated, no bf16 arithmetic in this {device.type}'}")
    return Precision(asked, f"asked for; {TF32}" if multiplies_in_tf32(device) else "asked for")


TF32 = "convolutions round their factors to TF32, PyTorch's default on this GPU"


def multiplies_in_tf32(device: torch.device) -> bool:
    """Whether float32 convolutions on `device` use TF32: 10 bits of mantissa, sums in float32."""
    if device.type != "cuda" or not torch.backends.cudnn.allow_tf32:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def bf16_arithmetic(device: torch.device) -> str:
    """The name of the native bf16 units, or "" if there are none."""
    if device.type == "cuda":
        return "tensor cores" if torch.cuda.is_bf16_supported(including_emulation=False) else ""
    has = torch.cpu.get_capabilities()
    return next((name for name in ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16") if has.get(name)), "")


def here(config: ModelConfig) -> Precision:
    """Resolve the precision of `config` on this machine's first device."""
    return precision_on(torch.device("cuda" if torch.cuda.is_available() else "cpu"), config.precision)


def on_device(config: ModelConfig, device: torch.device) -> ModelConfig:
    """`config` with its precision resolved on `device`."""
    return precision_on(device, config.precision).of(config)
