"""Settings shared by the tests of `trainables`: one thread, one small dataset."""

import pytest
import torch

from salun_grid.trainables.resident import ResidentData
from tests.trainables.oracles import digits

torch.set_num_threads(1)


@pytest.fixture
def data() -> ResidentData:
    """scikit-learn's digits, copied, so that a test may change them."""
    return digits()
