"""The losses against transformers' own, with the whole prediction head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import BertForPreTraining

from mlsg.pretraining.head import asked_loss
from mlsg.pretraining.inputs import Batch, Example, Inputs
from mlsg.pretraining.masking import mask_words
from mlsg.pretraining.network import losses, make_network
from mlsg.pretraining.settings import PretrainSettings
from mlsg.pretraining.store import Store
from mlsg.pretraining.tokenizer import CLS, SEP

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


def _whole(model: BertForPreTraining, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss of hidden words and sum of that of next sentences, by transformers' own heads at all places."""
    labels = torch.full((batch.ids.size,), -100)
    labels[torch.as_tensor(batch.places)] = torch.as_tensor(batch.targets)
    mask = np.arange(batch.ids.shape[1]) < batch.lengths[:, None]
    output = model(
        input_ids=torch.as_tensor(batch.ids),
        token_type_ids=torch.as_tensor(batch.types),
        attention_mask=torch.as_tensor(mask).long(),
    )
    words = F.cross_entropy(output.prediction_logits.flatten(0, 1), labels, ignore_index=-100)
    scores = output.seq_relationship_logits[torch.as_tensor(batch.pair_rows)]
    return words, F.cross_entropy(scores, torch.as_tensor(batch.labels), reduction="sum")


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_asking_at_hidden_places_alone_gives_the_loss_and_gradients_of_the_whole_head(attention: str) -> None:
    settings = replace(_SETTINGS, bag=0.0, attention=attention)  # type: ignore[arg-type]
    batch, model = _batch(), make_network(90, settings)
    found = losses(model, [batch], torch.full((90,), 1e-2), settings)
    found.total.backward()
    ours = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    words, sentences = _whole(model, batch)
    (words + sentences / len(batch.labels)).backward()
    assert torch.allclose(found.words.mean(), words, atol=1e-5)
    assert torch.allclose(found.sentences, sentences, atol=1e-4)
    assert torch.allclose(found.total, words + sentences / len(batch.labels), atol=1e-5)
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert torch.allclose(ours[name], value.grad, atol=1e-6, rtol=1e-3), name


def test_passes_of_a_step_count_by_what_they_are_asked_for() -> None:
    settings = replace(_SETTINGS, bag=0.0)
    inputs = Inputs(_store(), _CONTINUES, settings)
    inputs.stand(16)
    batches, model = inputs.pool(0)[:3], make_network(90, settings)
    found = losses(model, batches, torch.full((90,), 1e-2), settings)
    alone = [_whole(model, batch) for batch in batches]
    words, labels = (sum(len(getattr(batch, part)) for batch in batches) for part in ("places", "labels"))
    expected = sum(each[0] * len(batch.places) for each, batch in zip(alone, batches, strict=True)) / words
    expected = expected + sum(each[1] for each, batch in zip(alone, batches, strict=True) if len(batch.labels)) / labels
    assert torch.allclose(found.total, torch.as_tensor(expected), atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean", "both"])
def test_the_bag_is_that_of_a_plain_loop(pooling: str) -> None:
    settings = replace(_SETTINGS, bag=0.5, next_sentence=0.0, bag_pooling=pooling)  # type: ignore[arg-type]
    batch = _batch()
    model = make_network(90, settings)
    frequencies = torch.linspace(0, 0.02, 90)
    found = losses(model, [batch], frequencies, settings)
    totals = []
    with torch.no_grad():
        for row, length in enumerate(batch.lengths.tolist()):
            ids, types = (torch.as_tensor(part[row : row + 1, :length]) for part in (batch.ids, batch.types))
            states = model.bert(input_ids=ids, token_type_ids=types).last_hidden_state[0]
            vectors = {"cls": [states[0]], "mean": [states.mean(0)], "both": [states[0], states.mean(0)]}
            words = batch.bag_words[batch.bag_rows == row]
            for vector in vectors[pooling]:
                scores = model.cls.predictions(vector)
                each = [(1e-3 / (1e-3 + float(frequencies[w])), float(-scores.log_softmax(0)[w])) for w in words]
                totals.append(sum(weight * loss for weight, loss in each) / sum(weight for weight, _ in each))
    assert found.vectors == len(totals)
    assert abs(found.bag.item() - sum(totals)) < 1e-3 * sum(totals)
    assert abs(found.total.item() - found.words.mean().item() - 0.5 * sum(totals) / len(totals)) < 1e-3


def test_what_is_asked_has_the_loss_and_the_gradients_of_a_cross_entropy() -> None:
    draws = torch.Generator().manual_seed(0)
    hidden, table, bias = (
        torch.randn(*shape, generator=draws, dtype=torch.float32) for shape in ((600, 8), (40, 8), (40,))
    )
    rows = torch.sort(torch.randint(600, (900,), generator=draws)).values
    tokens, weights = torch.randint(40, (900,), generator=draws), torch.rand(900, generator=draws)
    parts = [part.clone().requires_grad_() for part in (hidden, table, bias)]
    total, each = asked_loss(*parts, (rows, tokens, weights))
    (3 * total).backward()
    plain = [part.clone().double().requires_grad_() for part in (hidden, table, bias)]
    scores = plain[0] @ plain[1].T + plain[2]
    expected = F.cross_entropy(scores[rows], tokens, reduction="none")
    (3 * (weights * expected).sum()).backward()
    assert torch.allclose(each.double(), expected, atol=1e-5)
    for part, wanted in zip(parts, plain, strict=True):
        assert torch.allclose(part.grad.double(), wanted.grad, atol=1e-4)


def test_a_hidden_word_is_not_seen() -> None:
    masked = mask_words(np.array([[CLS, 7, 8, 9, SEP]]), _CONTINUES, 0.9, np.random.default_rng(0))
    assert Example(0, np.array([7, 8, 9]), np.zeros(0, np.int64)).length == masked.ids.shape[1]
    assert len(masked.places) >= 1
