"""Resolve the compute dtype of a network on a device, with the reason."""

from dataclasses import dataclass, replace

import torch

from salun_grid.trainables.architectures import count_macs, count_weights
from salun_grid.trainables.protocol import ModelConfig

# Above both limits bf16 was faster on every CPU measured (docs/performance.md, "bf16 on a CPU"). Below the first it
# took 1.10 times as long with AMX, and 0.79 to 0.86 times with AVX-512; fp32 is the safe choice where CPUs differ.
MIN_MACS_PER_WEIGHT = 8
MIN_MACS = 10_000_000  # narrow layers do not fill a vector register


@dataclass(frozen=True)
class Precision:
    """A resolved compute dtype: `name` is fp32 or bf16, `reason` a short explanation."""

    name: str
    reason: str

    def of(self, config: ModelConfig) -> ModelConfig:
        """`config` with this precision."""
        return replace(config, precision=self.name)


def precision_on(device: torch.device, config: ModelConfig, num_classes: int, image_size: int) -> Precision:
    """Resolve `config.precision` on `device`; `image_size` in pixels.

    `auto` is bf16 on a GPU with bf16 arithmetic, and on such a CPU if the network is large enough to benefit.
    """
    native = bf16_arithmetic(device)
    if config.precision == "auto" and native:
        loss = "" if device.type == "cuda" else bf16_loses(config, num_classes, image_size)
        return Precision("fp32" if loss else "bf16", f"auto: {loss or native}")
    if config.precision == "auto":
        return Precision("fp32", f"auto: no bf16 arithmetic in this {device.type}")
    if config.precision == "bf16":
        return Precision("bf16", f"asked for; {native or f'emulated, no bf16 arithmetic in this {device.type}'}")
    return Precision(config.precision, f"asked for; {TF32}" if multiplies_in_tf32(device) else "asked for")


def bf16_loses(config: ModelConfig, num_classes: int, image_size: int) -> str:
    """Why bf16 is not faster than fp32 for this network on a CPU, or "" if it is."""
    macs = count_macs(config, num_classes, image_size)
    per_weight = macs / count_weights(config, num_classes)
    if per_weight < MIN_MACS_PER_WEIGHT:
        few = f"{per_weight:.0f} multiply-accumulates per weight"
        return f"{few}; bf16 is reliably faster on a CPU from {MIN_MACS_PER_WEIGHT}"
    if macs < MIN_MACS:
        millions = f"{macs / 1e6:.0f} million multiply-accumulates per image"
        return f"{millions}; bf16 is reliably faster on a CPU from {MIN_MACS // 1_000_000} million"
    return ""


TF32 = "convolutions round their factors to TF32, PyTorch's default on this GPU"


def multiplies_in_tf32(device: torch.device) -> bool:
    """Whether float32 convolutions on `device` use TF32: 10 bits of mantissa, sums in float32."""
    if device.type != "cuda" or not torch.backends.cudnn.allow_tf32:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def bf16_arithmetic(device: torch.device) -> str:
    """The name of the device's bf16 units, or "" if it has none."""
    if device.type == "cuda":
        return "tensor cores" if torch.cuda.is_bf16_supported(including_emulation=False) else ""
    has = torch.cpu.get_capabilities()
    return next((name for name in ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16") if has.get(name)), "")


def here(config: ModelConfig, num_classes: int, image_size: int) -> Precision:
    """Resolve the precision of `config` on this machine's first device."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return precision_on(device, config, num_classes, image_size)
