"""The amount of work of a job; progress, order and cost are computed from it."""

from dataclasses import dataclass
from typing import Any, Protocol

from salun_grid.trainables.architectures import count_macs
from salun_grid.trainables.data import DatasetInfo
from salun_grid.trainables.methods import PassCount
from salun_grid.trainables.protocol import ModelConfig


class Shaped(Protocol):
    """What the work of a job depends on besides its amounts."""

    @property
    def data(self) -> DatasetInfo: ...

    @property
    def model(self) -> ModelConfig: ...

    @property
    def augmentation(self) -> str: ...


@dataclass(frozen=True)
class Kind:
    """What the rates depend on besides the terms: the compute dtype, and the shapes of the network."""

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
    """The amount of work of one job.

    `train_images` counts forward and backward passes, for training and mask; `forward_images` forward-only passes
    during them, such as a teacher's; `eval_images` forward passes, 0 without evaluation; `attack_pairs` is the size
    of the membership inference attack (see `attack_pairs`).
    `gmac` is the cost of one image's forward pass, in 1e9 multiply-accumulates.
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


def shape_of(model: ModelConfig, num_classes: int, image_size: int) -> dict[str, Any]:
    """The fields of a Work that the network and the size of its images determine."""
    gmac = count_macs(model, num_classes, image_size) / 1e9
    return {"kind": Kind.of(model), "gmac": gmac, "image_size": image_size, "width": model.width}


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
    """The work of a row of `runs`: making its model, and evaluating it.

    `protocol` and `params`, the method's settings, are the row's parsed JSON; `num_images` is per split, None if
    unknown.
    """
    return Work(
        **shape_of(ModelConfig(**protocol["model"]), num_classes, image_size),
        augmentation=augmentation,
        batch_size=params.get("batch_size") or protocol["training"]["batch_size"],
        train_images=train_images,
        eval_images=sum(num_images.values()) if num_images else 0,
        attack_pairs=attack_pairs(num_forget, num_images, protocol["evaluation"]["mia_non_members"]),
        forward_images=forward_images,
    )


def attack_pairs(num_forget: int, num_images: dict[str, int] | None, non_members: str) -> float:
    """The cost of the attack, n · (n + 0.4 · |D_f|): an SVC fitted on n members and n non-members, applied to D_f.

    libsvm fits in time between n² and n³ (Chang and Lin 2011); on the single feature here n² held within 13 % from
    n = 400 to 8,000, and predicting an image cost 0.4 of fitting one (one core of a Xeon, scikit-learn 1.9).
    """
    if num_images is None:
        return 0.0
    n = min(num_images["train"] - num_forget, num_images[non_members])
    return n * (n + 0.4 * num_forget)


def images_passed(passes: PassCount, num_forget: int, data: DatasetInfo) -> dict[str, int]:
    """The amounts of a `Work` for `passes` over the images of `data`."""
    num_retain = data.num_images["train"] - num_forget
    forward = passes.forward_images(num_forget, num_retain, data.num_images["val"])
    return {"train_images": passes.images(num_forget, num_retain), "forward_images": forward}


def device_work(spec: Shaped, batch_size: int, **amounts: float) -> Work:
    """The work of `spec`: `amounts` together with the shape of its model and images."""
    return Work(
        **shape_of(spec.model, spec.data.num_classes, spec.data.image_size),
        augmentation=spec.augmentation,
        batch_size=batch_size,
        **amounts,  # type: ignore[arg-type]
    )
