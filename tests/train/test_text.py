"""The training text in files that are mapped: the tokens of a list of sentences, and nothing left behind."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from mlsg.model.backbone import Backbone, load_backbone
from mlsg.train import text as module
from mlsg.train.text import tokenised
from tests.tiny_models import tiny_bert
from tests.train.small import TEXT


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(str(tiny_bert(tmp_path_factory.mktemp("base") / "bert")))


@pytest.mark.parametrize("jobs", [1, 7, 8192])
def test_tokens_are_those_of_a_list(jobs: int, base: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", jobs)
    found, expected = tokenised(base, iter(TEXT), 17, tmp_path).tokens, base.tokenize(TEXT, 17)
    assert len(found) == len(TEXT)
    assert found.padding == expected.padding
    for name in ("flat", "starts", "truncated"):
        one, two = getattr(found, name), getattr(expected, name)
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)
    assert found.truncated.any()
    assert not found.truncated.all()


def test_tokens_are_mapped_from_files_without_a_name(base: Backbone, tmp_path: Path) -> None:
    found = tokenised(base, TEXT, 128, tmp_path)
    assert list(tmp_path.iterdir()) == []
    owner = found.tokens.flat.base
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner, mmap.mmap)


def test_sentences_of_the_same_tokens_are_one(base: Backbone, tmp_path: Path) -> None:
    text = tokenised(base, ["a cat", "a dog", "a cat", "", "a dog"], 128, tmp_path / "of another host")
    assert text.distinct.tolist() == [0, 1, 3]
    assert [int(np.flatnonzero(text.groups == group)[0]) for group in text.groups] == [0, 1, 0, 3, 1]


def test_no_sentence_is_no_text(base: Backbone, tmp_path: Path) -> None:
    assert len(tokenised(base, [], 128, tmp_path)) == 0
