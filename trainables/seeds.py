"""Independent named random streams: a draw from one never affects another.

A stream is named by a seed, a purpose and, if applicable, an epoch, so resuming a training needs no generator state.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

# Larger than any seed of a study, so that no other cell draws the same numbers.
AGAIN_OFFSET = 2**31


@dataclass(frozen=True)
class Seeds:
    """The seeds of one cell. By default all equal the cell's seed."""

    initialisation: int
    order: int
    augmentation: int
    forget: int
    unlearning: int

    @classmethod
    def all(cls, seed: int) -> "Seeds":
        """One seed for every stream; the streams stay independent because their names differ."""
        return cls(seed, seed, seed, seed, seed)

    def again(self) -> "Seeds":
        """Seeds for a second training of the same cell: the same forget set, everything else redrawn."""
        initialisation, order, augmentation = self.initialisation, self.order, self.augmentation
        return replace(
            self,
            initialisation=initialisation + AGAIN_OFFSET,
            order=order + AGAIN_OFFSET,
            augmentation=augmentation + AGAIN_OFFSET,
        )


def derived_seed(seed: int, *purpose: object) -> int:
    """A 63-bit hash of a seed and a purpose such as ("order", epoch); the same on every platform."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def own_layer_stream(device: torch.device) -> Iterator[None]:
    """Restore PyTorch's global generators on exit, so that `seed_layers` may seed them inside."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_layers(seed: int, *purpose: object) -> None:
    """Seed the global generators, which layers such as dropout use, for (seed, purpose)."""
    torch.manual_seed(derived_seed(seed, "layers", *purpose))


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A new CPU generator for (seed, purpose).

    CPU draws are the same for every device, and the host knows them without a sync.
    """
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))
