"""Separate named random streams: a draw in one never moves another.

Every stream is named by a seed, a purpose and, where it applies, an epoch, so an interrupted training
needs no generator state to go on: it draws the next epoch's numbers anew.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

# Above every seed that a study may have, so that no other cell draws the same numbers.
AGAIN_OFFSET = 2**31


@dataclass(frozen=True)
class Seeds:
    """The seeds of one cell. A study sets them all to the cell's seed unless it says otherwise."""

    initialisation: int
    order: int
    augmentation: int
    forget: int
    unlearning: int

    @classmethod
    def all(cls, seed: int) -> "Seeds":
        """The same number for every stream; the streams stay independent, since each is also named."""
        return cls(seed, seed, seed, seed, seed)

    def again(self) -> "Seeds":
        """Another training of the same cell: the same forget set, everything else drawn anew."""
        initialisation, order, augmentation = self.initialisation, self.order, self.augmentation
        return replace(
            self,
            initialisation=initialisation + AGAIN_OFFSET,
            order=order + AGAIN_OFFSET,
            augmentation=augmentation + AGAIN_OFFSET,
        )


def derived_seed(seed: int, *purpose: object) -> int:
    """63 bits from a seed and a purpose such as ("order", epoch); the same on every platform."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def own_layer_stream(device: torch.device) -> Iterator[None]:
    """Restore PyTorch's global generators at the end; `seed_layers` may seed them in between."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_layers(seed: int, *purpose: object) -> None:
    """Seed the global generators, from which layers such as dropout draw: one stream for (seed, purpose)."""
    torch.manual_seed(derived_seed(seed, "layers", *purpose))


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator of its own for (seed, purpose).

    Drawing on the CPU gives one device the same numbers as another, and the host knows them without a sync.
    """
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))
