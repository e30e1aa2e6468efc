"""The stream of inputs: shares, lengths, order, and going on inside a pool."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mlsg.pretraining.inputs import Batch, Inputs
from mlsg.pretraining.passages import Deck, passages
from mlsg.pretraining.settings import PretrainSettings
from mlsg.pretraining.store import Store
from mlsg.pretraining.tokenizer import CLS, PAD, SEP

_CONTINUES = np.zeros(90, bool)


def _store(seed: int = 0) -> Store:
    """Documents and single lines of a large and a small language, and translations; every line has ids of its own."""
    draws = np.random.default_rng(seed)
    sizes = {"aa": 900, "bb": 90}
    lengths = draws.integers(3, 30, sum(sizes.values()) + 200)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    documents, begun = {}, 0
    for lang, size in sizes.items():
        documents[lang] = np.array([*range(begun, begun + size // 2 + 1, 15), begun + size])
        begun += size
    ids = draws.integers(5, 90, int(starts[-1])).astype(np.uint16)
    return Store(ids, starts, documents, begun, np.array([[0, 1]] * 100), ("aa", "bb"), {})


def _settings(**changes: object) -> PretrainSettings:
    chosen = {"lengths": (32, 64), "length_shares": (0.5, 0.5), "batch_tokens": 1024, "pass_tokens": 512, **changes}
    return PretrainSettings(**chosen)  # type: ignore[arg-type]


def _same(first: list[Batch], second: list[Batch]) -> bool:
    return all(
        np.array_equal(one.ids, other.ids) and np.array_equal(one.places, other.places)
        for one, other in zip(first, second, strict=True)
    )


def test_passages_are_neighbours_of_one_document_and_hold_every_line_once() -> None:
    store = _store()
    found = passages(store, "aa", 48)
    bounds = store.documents["aa"]
    assert np.concatenate([np.arange(*each) for each in found]).tolist() == list(range(bounds[0], bounds[-1]))
    document = np.searchsorted(bounds[:-1], found[:, 0], side="right")
    within = document < len(bounds) - 1
    assert (np.searchsorted(bounds[:-1], found[within, 1] - 1, side="right") == document[within]).all()
    assert (np.diff(found[~within]) == 1).all(), "single lines stay alone"
    tokens = store.starts[found[:, 1]] - store.starts[found[:, 0]]
    assert ((tokens <= 48 - 3) | (np.diff(found)[:, 0] == 1)).all()


def test_a_deck_gives_everything_once_a_pass_in_another_order() -> None:
    deck = Deck(np.arange(50), 1, "test")
    passes = [[int(deck.next()) for _ in range(50)] for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(50))
    assert passes[0] != passes[1]
    again = Deck(np.arange(50), 1, "test")
    again.passes, again.place = 1, 10
    assert [int(again.next()) for _ in range(40)] == passes[1][10:]


def test_a_pool_is_made_again_from_where_the_decks_stood() -> None:
    inputs = Inputs(_store(), _CONTINUES, _settings())
    inputs.stand(32)
    inputs.pool(0)
    stood = inputs.decks_at()
    second = inputs.pool(1)
    other = Inputs(_store(), _CONTINUES, _settings())
    other.stand(32, stood)
    assert _same(second, other.pool(1))
    assert not _same(second[:3], Inputs_pool_two(stood)[:3])


def Inputs_pool_two(stood: dict[str, list[int]]) -> list[Batch]:  # noqa: N802
    inputs = Inputs(_store(), _CONTINUES, _settings())
    inputs.stand(32, stood)
    return inputs.pool(2)


@pytest.mark.parametrize("longest", [32, 64])
def test_inputs_are_as_long_as_allowed_and_hold_little_padding(longest: int) -> None:
    inputs = Inputs(_store(), _CONTINUES, _settings(batch_tokens=8192, pass_tokens=2048))
    inputs.stand(longest)
    passes = inputs.pool(0)
    assert max(int(batch.lengths.max()) for batch in passes) <= 64
    assert all(batch.ids.size <= 2048 for batch in passes)
    places, tokens = sum(batch.ids.size for batch in passes), sum(batch.tokens for batch in passes)
    assert 1 - tokens / places < 0.05


def test_rows_are_laid_out_as_bert_has_them() -> None:
    inputs = Inputs(_store(), _CONTINUES, _settings(mask_share=0.01))
    inputs.stand(32)
    for batch in inputs.pool(0)[:5]:
        assert (batch.ids[:, 0] == CLS).all()
        for row, types, length in zip(batch.ids, batch.types, batch.lengths, strict=True):
            assert row[length - 1] == SEP
            assert (row[length:] == PAD).all()
            ends = np.flatnonzero(row == SEP)
            assert len(ends) in (1, 2)
            assert types.tolist() == [0] * (ends[0] + 1) + [1] * (length - ends[0] - 1) + [0] * (len(row) - length)


def test_languages_get_the_shares_that_the_power_gives() -> None:
    store = _store()
    inputs = Inputs(
        store,
        _CONTINUES,
        _settings(batch_tokens=8192, pass_tokens=2048, language_share=0.5, pair_share=0.2, mask_share=0.5),
    )
    inputs.stand(32)
    counts: Counter[int] = Counter()
    for batch in inputs.pool(0):
        counts.update(batch.groups.tolist())
    root = np.sqrt([store.tokens_of("aa"), store.tokens_of("bb")])
    wanted = [*(0.8 * root / root.sum()), 0.2]
    found = [counts[group] / counts.total() for group in range(3)]
    assert np.allclose(found, wanted, atol=0.03)


def test_about_half_of_the_neighbours_are_from_elsewhere() -> None:
    inputs = Inputs(_store(), _CONTINUES, _settings(batch_tokens=8192, pass_tokens=2048))
    inputs.stand(64)
    labels = np.concatenate([batch.labels for batch in inputs.pool(0)])
    assert set(labels.tolist()) == {0, 1}
    assert 0.4 < labels.mean() < 0.6
