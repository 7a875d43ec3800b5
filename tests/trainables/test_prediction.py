"""Logits of every image, as plain calls of the model give them."""

import copy

import numpy as np
import pytest
import torch

from salun_grid.trainables import prediction
from salun_grid.trainables.prediction import predict
from tests.support.oracles import as_rgb, equal_states, tiny_model


@pytest.mark.parametrize("batch_size", [512, 100, 199])
def test_logits_equal_plain_calls_in_the_datasets_order(data, monkeypatch, batch_size):
    monkeypatch.setattr(prediction, "BATCH_SIZE", batch_size)
    model = tiny_model()
    got = predict(model, data)
    assert list(got) == ["train", "val", "test"]
    model.eval()
    for split, logits in got.items():
        assert logits.dtype == np.float32 and logits.shape == (len(data.labels[split]), 10)
        inputs = torch.stack([as_rgb(image) for image in data.images[split]])
        with torch.no_grad():
            wanted = model(inputs).numpy()
        np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-5)


def test_predicting_changes_nothing_in_the_model(data):
    model = tiny_model().train()
    before = copy.deepcopy(model)
    first, second = predict(model, data), predict(model, data)
    assert equal_states(model, before)
    assert all(np.array_equal(first[split], second[split]) for split in first)
