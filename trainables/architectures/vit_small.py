"""A small vision transformer for images of 28 to 64 px.

The simplified ViT of Beyer et al. 2022 (arXiv 2205.01580): fixed 2-D sine-cosine position embeddings, mean pooling over
patches instead of a class token, no dropout; pre-norm blocks as in Dosovitskiy et al. 2021 (arXiv 2010.11929). The
position embeddings have no weights, so a model accepts any image size.
"""

import torch
from torch import Tensor, nn

from salun_grid.trainables.architectures.base import Architecture, Classifier
from salun_grid.trainables.layout import memory_layout
from salun_grid.trainables.protocol import ModelConfig

PATCH = 4  # pixels
DIM, DEPTH, HEADS, MLP_RATIO = 192, 6, 3, 4  # DeiT-Ti's width (Touvron et al. 2021), half its depth
TEMPERATURE = 10_000.0


class SmallViT(Classifier):
    """A vision transformer with patches of 4 px and 6 blocks of width 192 with 3 heads."""

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__(config)
        self.patches = nn.Conv2d(3, DIM, PATCH, stride=PATCH)
        for number in range(DEPTH):
            self.add_module(f"block{number}", Block())
        self.norm = nn.LayerNorm(DIM)
        self.fc = nn.Linear(DIM, num_classes)
        self.memory_format = memory_layout(self).format

    def features(self, x: Tensor) -> Tensor:
        grid = self.patches(x)
        positions = sine_cosine(grid.shape[2], grid.shape[3], DIM, grid.device).to(grid.dtype)
        tokens = grid.flatten(2).transpose(1, 2) + positions
        for number in range(DEPTH):
            tokens = self.get_submodule(f"block{number}")(tokens)
        return self.norm(tokens).mean(1)


class Block(nn.Module):
    """Pre-norm attention and a two-layer MLP, each with a residual connection; (N, tokens, DIM) → the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.qkv, self.out = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.mlp = nn.Sequential(nn.Linear(DIM, MLP_RATIO * DIM), nn.GELU(), nn.Linear(MLP_RATIO * DIM, DIM))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def attention(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, HEADS, DIM // HEADS)).permute(2, 0, 3, 1, 4)
        return self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def sine_cosine(height: int, width: int, dim: int, device: torch.device) -> Tensor:
    """Position embeddings of a grid, (height · width, dim): sines and cosines of the column, then of the row."""
    frequencies = TEMPERATURE ** -(torch.arange(dim // 4, device=device) / (dim // 4 - 1))
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    angles = [place.flatten()[:, None] * frequencies for place in (columns, rows)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1)


def build(config: ModelConfig, num_classes: int) -> SmallViT:
    """SmallViT with truncated-normal weights (standard deviation 0.02, cut at two deviations) and zero biases."""
    model = SmallViT(config, num_classes)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return model


ARCHITECTURE = Architecture(
    build,
    "a vision transformer with patches of 4 px: 6 blocks of width 192, 3 heads",
    "Dosovitskiy et al. 2021; Beyer et al. 2022",
    recipe={
        "optimizer": "adamw",
        "schedule": "cosine",
        "learning_rate": 1e-3,
        "weight_decay": 0.05,
        "warmup_epochs": 10,
    },
    multiple_of=PATCH,
)
