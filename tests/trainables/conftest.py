"""Settings shared by the tests of `trainables`: one thread, one small dataset."""

from collections.abc import Iterator

import pytest
import torch

from salun_grid.trainables.resident import ResidentData
from tests.support.oracles import digits

torch.set_num_threads(1)


@pytest.fixture
def data() -> ResidentData:
    """scikit-learn's digits, copied, so that a test may change them."""
    return digits()


@pytest.fixture
def double_precision() -> Iterator[None]:
    """In float32 training magnifies the last bit a thousandfold, and devices differ where sums cancel."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
