"""Tokens kept in one array are those of the tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mlsg.errors import DataError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.tokens import equal_batches, length_sorted, token_batches, tokenize
from tests.tiny_models import tiny_bert, tiny_xlmr

_TEXTS = ["The cat sleeps.", "", "🙂🙂 ไทย", "Cafe\u0301 man\u0303ana", "word " * 300, "القطة the 猫", "", "Çocuk"]


@pytest.fixture(scope="module", params=["bert", "xlmr"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    folder: Path = tmp_path_factory.mktemp("base") / request.param
    return load_backbone(str((tiny_bert if request.param == "bert" else tiny_xlmr)(folder)))


def test_every_row_is_what_the_tokenizer_gives(backbone: Backbone) -> None:
    tokens = tokenize(backbone.tokenizer, _TEXTS, 16)
    for row, text in enumerate(_TEXTS):
        assert tokens.ids(row).tolist() == backbone.tokenizer(text, truncation=True, max_length=16)["input_ids"]


def test_tokenising_in_parts_changes_nothing(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tokenize(backbone.tokenizer, _TEXTS, 16)
    monkeypatch.setattr("mlsg.model.tokens._CHUNK", 3)
    parts = tokenize(backbone.tokenizer, _TEXTS, 16)
    for name in ("flat", "starts", "truncated"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


def test_just_the_over_long_are_counted_as_truncated(backbone: Backbone) -> None:
    length = len(backbone.tokenizer(_TEXTS[0])["input_ids"])
    assert tokenize(backbone.tokenizer, _TEXTS[:1], length).truncated.tolist() == [False]
    assert tokenize(backbone.tokenizer, _TEXTS[:1], length - 1).truncated.tolist() == [True]
    assert tokenize(backbone.tokenizer, _TEXTS, 64).truncated.nonzero()[0].tolist() == [4]


def test_occurrences_count_a_token_in_each_row(backbone: Backbone) -> None:
    tokens = backbone.tokenize(_TEXTS)
    unknown = backbone.tokenizer.unk_token_id
    assert tokens.occurrences(unknown).tolist() == [tokens.ids(n).tolist().count(unknown) for n in range(len(_TEXTS))]
    assert tokens.occurrences(unknown)[2] > 0
    assert tokens.occurrences(None).tolist() == [0] * len(_TEXTS)


def test_a_batch_is_what_the_tokenizer_pads(backbone: Backbone) -> None:
    rows = [5, 0, 1, 4]
    ids, mask = backbone.tokenize(_TEXTS).batch(rows)
    expected = backbone.tokenizer(
        [_TEXTS[n] for n in rows], padding=True, truncation=True, max_length=backbone.max_length, return_tensors="pt"
    )
    assert torch.equal(ids, expected["input_ids"])
    assert torch.equal(mask, expected["attention_mask"])


def test_no_texts_are_no_tokens(backbone: Backbone) -> None:
    tokens = backbone.tokenize([])
    assert len(tokens) == 0
    assert tokens.lengths.tolist() == []
    assert tokens.batch([])[0].shape == (0, 0)


def test_half_a_surrogate_pair_is_named(backbone: Backbone) -> None:
    with pytest.raises(DataError, match=r"the sentence .*\\ud83d.* holds half a surrogate pair"):
        backbone.tokenize(["fine", "broken \ud83d"])


def test_what_is_no_text_is_named(backbone: Backbone) -> None:
    with pytest.raises(TypeError, match="text 1 is int"):
        backbone.tokenize(["fine", 3])  # type: ignore[list-item]


def test_batches_of_similar_length_hold_every_row_once_longest_first() -> None:
    lengths = np.array([3, 9, 3, 1, 7, 9, 2])
    batches = [rows.tolist() for rows in length_sorted(lengths, 3)]
    assert batches == [[1, 5, 4], [0, 2, 6], [3]]


def test_batches_by_tokens_hold_every_row_once_and_no_more_than_they_may() -> None:
    lengths = np.array([3, 9, 3, 1, 7, 9, 2, 30])
    batches = [rows.tolist() for rows in token_batches(lengths, 18)]
    assert batches == [[7], [1, 5], [4, 0], [2, 6, 3]]
    assert list(token_batches(np.zeros(0, dtype=np.int64), 18)) == []


def test_batches_of_one_length_have_a_size_that_the_length_decides() -> None:
    lengths = np.array([3, 9, 3, 3, 7, 9, 3, 30, 3])
    batches = [rows.tolist() for rows in equal_batches(lengths, 12)]
    assert batches == [[7], [1, 5], [4, 4], [0, 2, 3, 6], [8, 8, 8, 8]]
    assert list(equal_batches(np.zeros(0, dtype=np.int64), 12)) == []
