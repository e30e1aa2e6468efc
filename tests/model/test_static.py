"""Static bases: vectors of words against numpy, and as a base for everything else."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from mlsg.api import make_static
from mlsg.errors import DataError, SettingError
from mlsg.model.backbone import load_backbone
from mlsg.model.encoder import Encoder
from mlsg.model.static import read_vectors
from tests.tiny_models import SENTENCES, tiny_bert

GLOVE = "the 0.1 0.2 -0.3\ncat 1 0 0\n, 0 0 1\nsat 0.5 -0.5 0.25\nÇocuk 9 9 9\n"


def test_a_sentence_is_the_mean_of_its_words_and_unknown_ones_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text(GLOVE, "utf-8")
    make_static(str(tmp_path / "glove.txt"), tmp_path / "base")
    encoder = Encoder.load(tmp_path / "base", pooling="mean", device="cpu")
    words = {line.split()[0]: np.array(line.split()[1:], dtype=np.float32) for line in GLOVE.splitlines()}
    found = encoder.encode(["the cat, sat", "cat dog", "Çocuk", "dog"])
    expected = [words["the"] + words["cat"] + words[","] + words["sat"], words["cat"], words["Çocuk"], np.zeros(3)]
    for own, wanted in zip(found, expected, strict=True):
        length = np.linalg.norm(wanted) or 1.0
        np.testing.assert_allclose(own / (np.linalg.norm(own) or 1.0), wanted / length, atol=1e-6)


def test_words_are_lower_cased_where_the_file_has_no_capitals(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "small.txt.gz", "wt", encoding="utf-8") as file:
        file.write("2 2\nthe 1 0\ncat 0 1\n")  # fastText's head, packed
    make_static(str(tmp_path / "small.txt.gz"), tmp_path / "base")
    encoder = Encoder.load(tmp_path / "base", pooling="mean", device="cpu")
    one, two = encoder.encode(["The CAT", "the cat"])
    np.testing.assert_array_equal(one, two)
    assert one[0] == one[1] > 0


def test_the_input_embeddings_of_a_base_are_its_words(tmp_path: Path) -> None:
    base = load_backbone(str(tiny_bert(tmp_path / "bert")))
    make_static(str(tmp_path / "bert"), tmp_path / "static")
    encoder = Encoder.load(tmp_path / "static", pooling="mean", device="cpu")
    table = base.model.get_input_embeddings().weight.detach().numpy()
    tokens = base.tokenize(SENTENCES)
    expected = np.stack([table[tokens.ids(row)].mean(0) for row in range(len(SENTENCES))])
    np.testing.assert_allclose(encoder.encode(SENTENCES), expected, atol=1e-6)
    encoder.save(tmp_path / "saved", {})
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(SENTENCES)
    np.testing.assert_allclose(theirs, expected, atol=1e-6)
    assert AutoModel.from_pretrained(tmp_path / "static").config.num_hidden_layers == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the 1 2\ncat 1 2 3\n", "line 2: 3 numbers where the lines above have 2"),
        ("the 1 2\ncat\n", "line 2: 0 numbers"),
        ("the 1 two\n", "line 1: what is no finite number"),
        ("the 1 nan\n", "line 1: what is no finite number"),
        ("the 1 2\n\ncat 1 2\n", "line 2: 0 numbers"),
        ("", "no word vectors"),
        ("10 300\n", "no word vectors"),
    ],
)
def test_a_file_with_ragged_or_broken_lines_is_one_line(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_vectors(iter(text.splitlines()), "glove.txt")


def test_no_more_words_than_asked_and_the_first_of_two(tmp_path: Path) -> None:
    found = read_vectors(iter(["a 1", "a 2", "b 3", "c 4"]), "x", most=2)
    assert found.vectors[:2, 0].tolist() == [1.0, 3.0]
    assert found.vectors[2:].sum() == 0


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text(GLOVE, "utf-8")
    with pytest.raises(SettingError, match="not an empty folder"):
        make_static(str(tmp_path / "glove.txt"), tmp_path)
