"""The samples of ../shared/cases that are about files, by their right values."""

from __future__ import annotations

import csv
import json
import lzma
from pathlib import Path

import pytest

from mlsg.config.catalog import load_catalog
from mlsg.data.pairs import GradedPairs, LocatedSet, locate_set, read_pairs
from mlsg.data.sources import Reading, stream_sources
from mlsg.errors import DataError
from tests.data.written import PretendedHub, rows_of


@pytest.fixture(scope="module")
def cases(shared: Path) -> Path:
    """The folder of samples."""
    if not (shared / "cases").is_dir():
        pytest.skip("../shared/cases is not here")
    return shared / "cases"


def _pairs(folder: Path, name: str = "mine.xx") -> GradedPairs:
    located = locate_set(load_catalog([folder]).pair_set(name), None, PretendedHub())
    assert isinstance(located, LocatedSet)
    return read_pairs(located, PretendedHub())


def _copied(folder: Path, into: Path, toml: str) -> Path:
    for path in folder.iterdir():
        (into / path.name).write_bytes(path.read_bytes())
    (into / "xx.toml").write_text(f"{(into / 'xx.toml').read_text()}\n{toml}\n")
    return into


def test_07_both_streams_of_the_padded_file(cases: Path) -> None:
    whole, padded = (_pairs(cases / "07-xz-padding", f"{name}.xx") for name in ("whole", "padded"))
    assert len(padded.scores) == 250
    assert rows_of(padded) == rows_of(whole)
    assert lzma.decompress((cases / "07-xz-padding/es2.tsv.xz").read_bytes().replace(b"YZ\0\0\0\0", b"YZ", 1))


def test_10_the_quotes_of_the_table(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="quoted = true"):
        _pairs(cases / "10-quoted-tsv")
    with (cases / "10-quoted-tsv/pairs.tsv").open(newline="") as file:
        rows = [(first, second, float(score)) for first, second, score in list(csv.reader(file, delimiter="\t"))[1:]]
    assert rows_of(_pairs(_copied(cases / "10-quoted-tsv", tmp_path, "quoted = true"))) == rows


@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.jsonl"])
def test_11_the_empty_sentence(cases: Path, tmp_path: Path, name: str) -> None:
    folder = _copied(cases / "11-empty-or-null-sentence", tmp_path, "blank_sentences = true")
    (folder / "xx.toml").write_text((folder / "xx.toml").read_text().replace("pairs.tsv", name))
    pairs = _pairs(folder)
    assert (len(pairs.scores), pairs.dropped) == (6, 1)
    (folder / "xx.toml").write_text((folder / "xx.toml").read_text().replace("blank_sentences = true", ""))
    with pytest.raises(DataError, match=r"(line|row) [35]: sentence 1 is empty"):
        _pairs(folder)


def test_13_utf_16_and_lines_that_end_at_cr(cases: Path, tmp_path: Path) -> None:
    text = (cases / "13-utf16-and-cr/pairs.tsv").read_bytes().decode("utf-16")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    expected = [(first, second, float(score)) for first, second, score in rows]
    assert rows_of(_pairs(cases / "13-utf16-and-cr")) == expected
    sentences = list(stream_sources([cases / "13-utf16-and-cr/cr_only.txt"]))
    assert sentences == (cases / "13-utf16-and-cr/cr_only.txt").read_text().splitlines()
    assert len(sentences) == 4
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a"}) + "\r" + json.dumps({"text": "b"}))
    assert list(stream_sources([tmp_path / "a.jsonl"], "text", Reading())) == ["a", "b"]
