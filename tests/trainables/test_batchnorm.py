"""BatchNorm over two workers is nn.BatchNorm2d over their images together."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from salun_grid.records.errors import InputError
from salun_grid.trainables.batchnorm import GlobalBatchNorm2d, synchronise_batchnorm
from tests.support.processes import run_workers

CHANNELS = 6
SHARES = (5, 3)
CASES = [(precision, shares) for precision in (torch.float64, torch.bfloat16) for shares in (SHARES, (8, 0))]


def images_and_gradient(precision: torch.dtype) -> tuple[Tensor, Tensor]:
    """What comes in from before and, backwards, from behind; the mean is far from 0, and each channel has its own."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(sum(SHARES), CHANNELS, 4, 4, generator=random) + 3 * torch.arange(CHANNELS)[:, None, None]
    gradient = torch.randn(x.shape, generator=random) + 1
    return tuple(t.to(precision).contiguous(memory_format=torch.channels_last) for t in (x, gradient))  # type: ignore[return-value]


def layer(precision: torch.dtype) -> nn.BatchNorm2d:
    """Parameters in float32 with bf16 images, as under autocast, else in the images' type."""
    made = nn.BatchNorm2d(CHANNELS, dtype=torch.float32 if precision == torch.bfloat16 else precision)
    with torch.no_grad():
        made.weight.copy_(torch.linspace(0.5, 2, CHANNELS))
        made.bias.copy_(torch.linspace(-1, 1, CHANNELS))
    return made


def test_on_a_gpu_it_is_pytorchs_with_the_same_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Conv2d(3, CHANNELS, 3), nn.BatchNorm2d(CHANNELS))
    parameters, names = list(model.parameters()), list(model.state_dict())
    monkeypatch.setattr(nn.Parameter, "is_cuda", True)
    synchronise_batchnorm(model)
    assert type(model[1]) is nn.SyncBatchNorm
    assert names == list(model.state_dict())
    assert all(now is before for now, before in zip(model.parameters(), parameters, strict=True))


def test_a_batchnorm_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"1 is a BatchNorm1d, .* use --workers 1"):
        synchronise_batchnorm(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))


def both_ways(norm: nn.BatchNorm2d, x: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """Output, gradients and statistics of one training step."""
    x = x.clone().requires_grad_()
    y = norm(x)
    y.backward(gradient)
    found = {"y": y.detach(), "x": x.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    return found | dict(norm.named_buffers())  # type: ignore[return-value]


def one_worker(rank: int, folder: str) -> None:
    """What one process does in every case; to start a process takes longer than all of them."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for number, (precision, shares) in enumerate(CASES):
        norm = layer(precision)
        synchronise_batchnorm(norm)
        assert type(norm) is GlobalBatchNorm2d
        x, gradient = (t.split(shares)[rank] for t in images_and_gradient(precision))
        torch.save(both_ways(norm, x, gradient), Path(folder, f"{number} {rank}.pt"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def normalised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what both workers found."""
    folder = tmp_path_factory.mktemp("workers")
    run_workers(one_worker, str(folder), 2)
    return folder


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA's own kernels need a GPU")
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_one_gpu_normalises_as_pytorch_does(precision: torch.dtype, tmp_path: Path) -> None:
    dist.init_process_group("nccl", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        x, gradient = (t.cuda() for t in images_and_gradient(precision))
        norm = layer(precision).cuda()
        synchronise_batchnorm(norm)
        found, wanted = both_ways(norm, x, gradient), both_ways(layer(precision).cuda(), x, gradient)
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, rtol=2e-2, atol=2e-2)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(str, CASES))
def test_two_workers_normalise_as_one(number: int, normalised: Path) -> None:
    precision = CASES[number][0]
    close = 1e-12 if precision == torch.float64 else 2e-2
    first, second = (torch.load(normalised / f"{number} {rank}.pt") for rank in range(2))
    whole = both_ways(layer(precision), *images_and_gradient(precision))
    together = {name: torch.cat([first[name], second[name]]) for name in ("y", "x")}
    together |= {name: first[name] + second[name] for name in ("weight", "bias")}
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(first[name], second[name])
        together[name] = first[name]
    for name, value in whole.items():
        assert together[name].dtype == value.dtype
        torch.testing.assert_close(together[name], value, rtol=close, atol=close)
