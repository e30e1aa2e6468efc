"""The losses against transformers' own, with the whole prediction head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mlsg.pretraining.inputs import Batch, Example, Inputs
from mlsg.pretraining.masking import mask_words
from mlsg.pretraining.network import losses, make_network
from mlsg.pretraining.store import Store
from mlsg.pretraining.tokenizer import CLS, SEP
from mlsg.recipes import PretrainSettings

_SETTINGS = PretrainSettings(width=32, layers=2, heads=2, lengths=(16, 24), length_shares=(0.5, 0.5), bag=1.0)
_CONTINUES = np.arange(90) >= 60


def _store() -> Store:
    draws = np.random.default_rng(0)
    lengths = draws.integers(3, 9, 60)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    ids = draws.integers(5, 90, int(starts[-1])).astype(np.uint16)
    documents = {"aa": np.array([0, 10, 20, 30]), "bb": np.array([30, 34, 40])}
    return Store(ids, starts, documents, 40, np.array([[0, 1]] * 10), ("aa", "bb"), {})


def _batch() -> Batch:
    inputs = Inputs(_store(), _CONTINUES, _SETTINGS)
    inputs.stand(16)
    return max(inputs.pool(0), key=lambda batch: len(batch.labels))


def test_asking_at_hidden_places_alone_gives_the_loss_of_the_whole_head() -> None:
    batch = _batch()
    model = make_network(90, _SETTINGS)
    found = losses(model, batch, torch.full((90,), 1e-2), _SETTINGS)
    labels = torch.full((batch.ids.size,), -100)
    labels[torch.as_tensor(batch.places)] = torch.as_tensor(batch.targets)
    mask = np.arange(batch.ids.shape[1]) < batch.lengths[:, None]
    whole = model(
        input_ids=torch.as_tensor(batch.ids),
        token_type_ids=torch.as_tensor(batch.types),
        attention_mask=torch.as_tensor(mask).long(),
    )
    words = F.cross_entropy(whole.prediction_logits.flatten(0, 1), labels, ignore_index=-100)
    assert torch.allclose(found.words.mean(), words, atol=1e-5)
    scores = whole.seq_relationship_logits[torch.as_tensor(batch.pair_rows)]
    assert torch.allclose(
        found.sentences, F.cross_entropy(scores, torch.as_tensor(batch.labels), reduction="sum"), atol=1e-4
    )


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_bag_is_that_of_a_plain_loop(pooling: str) -> None:
    settings = PretrainSettings(
        width=32,
        layers=2,
        heads=2,
        lengths=(16, 24),
        length_shares=(0.5, 0.5),
        bag=1.0,
        bag_pooling=pooling,  # type: ignore[arg-type]
    )
    batch = _batch()
    model = make_network(90, settings)
    frequencies = torch.linspace(0, 0.02, 90)
    found = losses(model, batch, frequencies, settings)
    total = 0.0
    with torch.no_grad():
        for row, length in enumerate(batch.lengths.tolist()):
            ids, types = (torch.as_tensor(part[row : row + 1, :length]) for part in (batch.ids, batch.types))
            states = model.bert(input_ids=ids, token_type_ids=types).last_hidden_state[0]
            scores = model.cls.predictions(states[:1] if pooling == "cls" else states.mean(0, keepdim=True))[0]
            words = batch.bag_words[batch.bag_rows == row]
            each = [(1e-3 / (1e-3 + float(frequencies[w])), float(-scores.log_softmax(0)[w])) for w in words]
            total += sum(weight * loss for weight, loss in each) / sum(weight for weight, _ in each)
    assert abs(found.bag.item() - total) < 1e-3 * total


def test_a_hidden_word_is_not_seen() -> None:
    masked = mask_words(np.array([[CLS, 7, 8, 9, SEP]]), _CONTINUES, 0.9, np.random.default_rng(0))
    assert Example(0, np.array([7, 8, 9]), np.zeros(0, np.int64)).length == masked.ids.shape[1]
    assert len(masked.places) >= 1
