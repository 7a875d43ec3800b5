"""What a job asks of a device, in a few numbers: progress, order and cost are estimated from it."""

from dataclasses import dataclass
from typing import Any

from salun_grid.trainables.architectures import count_macs
from salun_grid.trainables.protocol import ModelConfig


@dataclass(frozen=True)
class Kind:
    """What a rate depends on and no term says: the arithmetic's number format, and the stem's shapes."""

    precision: str
    stem: str
    architecture: str = "resnet18"

    @classmethod
    def of(cls, model: ModelConfig) -> "Kind":
        return cls(model.precision, model.stem, model.architecture)

    def __str__(self) -> str:
        shape = f"the {self.stem} stem" if self.architecture == "resnet18" else self.architecture
        return f"{self.precision} and {shape}"


@dataclass(frozen=True)
class Work:
    """What one job asks of a device.

    `train_images` pass forward and backward, in training and mask; `forward_images` forward alone meanwhile, as through
    a teacher; `eval_images` forward, 0 where nothing is evaluated; `attack_pairs` is the size of the membership attack
    (see `attack_pairs`).
    `gmac` is the forward pass of one image, in 1e9 multiply-accumulates.
    """

    kind: Kind
    gmac: float
    image_size: int
    width: int
    augmentation: str
    batch_size: int
    train_images: int = 0
    eval_images: int = 0
    attack_pairs: float = 0.0
    forward_images: int = 0

    @property
    def passed_images(self) -> float:
        """Of the training or unlearning: forward alone counts a third of forward and backward."""
        return self.train_images + self.forward_images / 3

    @property
    def megapixels(self) -> float:
        return self.image_size**2 / 1e6


def row_work(
    protocol: dict[str, Any],
    num_classes: int,
    image_size: int,
    params: dict[str, Any],
    augmentation: str,
    train_images: int,
    num_forget: int,
    num_images: dict[str, int] | None,
    forward_images: int = 0,
) -> Work:
    """The work that a row of `runs` stands for, its model's and its evaluation's.

    `protocol` and `params`, the method's settings, are as in the row's JSON; `num_images` of each split, None where
    they are unknown.
    """
    model = ModelConfig(**protocol["model"])
    return Work(
        kind=Kind.of(model),
        gmac=count_macs(model, num_classes, image_size) / 1e9,
        image_size=image_size,
        width=model.width,
        augmentation=augmentation,
        batch_size=params.get("batch_size") or protocol["training"]["batch_size"],
        train_images=train_images,
        eval_images=sum(num_images.values()) if num_images else 0,
        attack_pairs=attack_pairs(num_forget, num_images, protocol["evaluation"]["mia_non_members"]),
        forward_images=forward_images,
    )


def attack_pairs(num_forget: int, num_images: dict[str, int] | None, non_members: str) -> float:
    """n · (n + 0.4 · |D_f|): an SVC fitted on n members and n non-members, then asked about D_f.

    libsvm fits in time between n² and n³ (Chang and Lin 2011); on the one feature here n² held within 13 % from n = 400
    to 8,000, and an image asked about cost 0.4 of one fitted on (one core of a Xeon, scikit-learn 1.9).
    """
    if num_images is None:
        return 0.0
    n = min(num_images["train"] - num_forget, num_images[non_members])
    return n * (n + 0.4 * num_forget)
