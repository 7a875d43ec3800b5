"""The reference of the benchmarks: the same work in typical research-code style.

Per-image PIL transforms, a DataLoader, float32 in the default layout, `.item()` for loss and accuracy at each step, a
checkpoint per epoch; SalUn's mask by two sorts for each of ten thresholds, a masked step that masks each gradient and
restores each weight; five attacks of which one is used. Correct, and not deliberately slow.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import resnet18

from benchmarks.measure import DEVICE

THRESHOLDS = [0.1 * step for step in range(1, 11)]


class Images(Dataset):
    """A dataset of uint8 images (N, S, S, 3) and labels, transformed image by image."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: transforms.Compose) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def transform(augmentation: str, size: int) -> transforms.Compose:
    steps: list = []
    if augmentation != "none":
        steps += [transforms.RandomCrop(size, padding=size // 8), transforms.RandomHorizontalFlip()]
    if augmentation == "default+ra":
        steps += [transforms.RandAugment(2, 9)]
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])


def loader(dataset: Dataset, batch_size: int, shuffle: bool = True) -> DataLoader:
    """A DataLoader, with worker processes only for a GPU; on a CPU they would compete with the model for cores."""
    num_workers = min(8, os.cpu_count() or 1) if DEVICE.type == "cuda" else 0
    return DataLoader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers, pin_memory=DEVICE.type == "cuda")


def build(stem: str, num_classes: int) -> nn.Module:
    model = resnet18(num_classes=num_classes)
    if stem == "3x3":
        model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return model.to(DEVICE)


def sgd(model: nn.Module, rate: float) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=5e-4)


def train_epoch(model: nn.Module, batches: DataLoader, optimizer: torch.optim.SGD, checkpoint: Path) -> None:
    model.train()
    losses, correct = [], 0
    for images, labels in batches:
        images, labels = images.to(DEVICE), labels.to(DEVICE)
        outputs = model(images)
        loss = nn.functional.cross_entropy(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        correct += (outputs.argmax(1) == labels).sum().item()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, checkpoint)


# --- SalUn ----------------------------------------------------------------------------------------------------


def gradients(model: nn.Module, batches: DataLoader) -> dict[str, Tensor]:
    model.eval()
    sums = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    for images, labels in batches:
        model.zero_grad()
        nn.functional.cross_entropy(model(images.to(DEVICE)), labels.to(DEVICE)).backward()
        for name, weight in model.named_parameters():
            sums[name] += weight.grad  # type: ignore[arg-type]
    return {name: total.abs() for name, total in sums.items()}


def masks(saliency: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """A mask for each of ten thresholds, by ranking all weights with two sorts."""
    flat = torch.cat([scores.flatten() for scores in saliency.values()])
    for threshold in THRESHOLDS:
        ranks = torch.argsort(torch.argsort(flat, descending=True))
        kept = (ranks < int(len(flat) * threshold)).float()
        sizes = [scores.numel() for scores in saliency.values()]
        parts = zip(saliency, kept.split(sizes), strict=True)
        yield {name: part.reshape(saliency[name].shape) for name, part in parts}


def masked_step(model: nn.Module, optimizer: torch.optim.SGD, mask: dict[str, Tensor]) -> None:
    """A step with the hard mask: mask each gradient, and restore each masked weight after the step."""
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for name, weight in model.named_parameters():
        weight.grad *= mask[name]  # type: ignore[operator]
    optimizer.step()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(mask[name] * weight + (1 - mask[name]) * before[name])


def unlearn(model: nn.Module, forget: Images, retain: Dataset, num_classes: int, epochs: int, batch_size: int) -> None:
    mask = find_mask(model, forget, batch_size)
    optimizer = sgd(model, 0.013)
    for _ in range(epochs):
        unlearning_epoch(model, optimizer, mask, forget, retain, num_classes, batch_size)


def find_mask(model: nn.Module, forget: Images, batch_size: int) -> dict[str, Tensor]:
    """The mask of the threshold 0.5; as in SalUn's code, all ten masks are computed."""
    return list(masks(gradients(model, loader(forget, batch_size))))[4]


def unlearning_epoch(
    model: nn.Module,
    optimizer: torch.optim.SGD,
    mask: dict[str, Tensor],
    forget: Images,
    retain: Dataset,
    num_classes: int,
    batch_size: int,
) -> None:
    """An epoch on the forget set with random labels, then on the retain set."""
    labels = np.random.default_rng().integers(0, num_classes, len(forget))
    model.train()
    for part in (Images(forget.images, labels, forget.transform), retain):
        for images, targets in loader(part, batch_size):
            loss = nn.functional.cross_entropy(model(images.to(DEVICE)), targets.to(DEVICE))
            optimizer.zero_grad()
            loss.backward()
            masked_step(model, optimizer, mask)
            loss.item()


def probabilities(model: nn.Module, batches: DataLoader) -> tuple[np.ndarray, np.ndarray]:
    model.eval()
    found, labels = [], []
    with torch.no_grad():
        for images, targets in batches:
            found.append(torch.softmax(model(images.to(DEVICE)), 1).cpu())
            labels.append(targets)
    return torch.cat(found).numpy(), torch.cat(labels).numpy()


def evaluate(model: nn.Module, parts: dict[str, Images], batch_size: int) -> dict[str, float]:
    """The accuracy of each part, then the attacks on new predictions, with an SVC for each of five features."""
    accuracy = {}
    for name, part in parts.items():
        predicted, labels = probabilities(model, loader(part, batch_size, shuffle=False))
        accuracy[name] = float(np.mean(predicted.argmax(1) == labels))
    scores = {name: features(*probabilities(model, loader(parts[name], batch_size, False))) for name in parts}
    return accuracy | attacks(scores)


def attacks(scores: dict[str, np.ndarray]) -> dict[str, float]:
    """Attacks with an SVC per feature; `scores` (N, 5) are of the forget, retain and test images."""
    n = min(len(scores["retain"]), len(scores["test"]))
    found = {}
    for feature in range(scores["test"].shape[1]):
        known = np.concatenate([scores["retain"][:n, feature], scores["test"][:n, feature]])[:, None]
        attack = SVC(C=3, gamma="auto").fit(known, np.repeat([1, 0], n))
        found[f"attack {feature}"] = float(np.mean(attack.predict(scores["forget"][:, feature, None]) == 0))
    return found


def features(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Correctness, confidence, entropy, modified entropy and the true class's probability, (N, 5)."""
    true = probability[np.arange(len(labels)), labels]
    logs = -np.log(np.clip(probability, 1e-30, 1))
    others = -np.log(np.clip(1 - probability, 1e-30, 1)) * probability
    modified = others.sum(1) - others[np.arange(len(labels)), labels] - (1 - true) * np.log(np.clip(true, 1e-30, 1))
    correct = (probability.argmax(1) == labels).astype(float)
    return np.stack([correct, probability.max(1), (probability * logs).sum(1), modified, true], axis=1)
