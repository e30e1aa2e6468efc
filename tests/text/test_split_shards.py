"""Shards: the same text however often the run is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsg.errors import DataError
from mlsg.text import split as split_module
from mlsg.text.split import read_shards, write_shards
from tests.cache.damages import DAMAGES, damage_file


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_module, "DOCUMENTS_A_SHARD", 3)


def _documents(count: int, stop_before: int | None = None) -> Iterator[str]:
    for number in range(count):
        if number == stop_before:
            raise InterruptedError
        yield f"{number}a {number}b"


def _expected(count: int) -> list[str]:
    return [f"{number}{letter}" for number in range(count) for letter in "ab"]


def _write(folder: Path, documents: Iterator[str]) -> list[int]:
    return list(write_shards(documents, str.split, folder))


@pytest.mark.parametrize("count", [0, 1, 3, 7, 9])
def test_what_is_read_back_is_what_was_split(tmp_path: Path, count: int) -> None:
    assert _write(tmp_path / "s", _documents(count))[-1] == count
    assert list(read_shards(tmp_path / "s")) == _expected(count)


@pytest.mark.parametrize("count", [7, 9])
def test_stopped_anywhere_and_gone_on_gives_the_same(tmp_path: Path, count: int) -> None:
    for stop in range(count):
        folder = tmp_path / f"{stop}"
        with pytest.raises(InterruptedError):
            _write(folder, _documents(count, stop_before=stop))
        assert len(list(folder.glob("*.txt"))) == stop // 3
        assert _write(folder, _documents(count))[-1] == count
        assert list(read_shards(folder)) == _expected(count)


def test_finished_documents_are_not_split_again(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        _write(tmp_path / "s", _documents(9, stop_before=7))
    again: list[str] = []
    assert list(write_shards(_documents(9), lambda text: again.append(text) or text.split(), tmp_path / "s")) == [6, 9]
    assert again == [f"{number}a {number}b" for number in (6, 7, 8)]


def test_an_ended_stream_is_not_asked_again(tmp_path: Path) -> None:
    _write(tmp_path / "s", _documents(7))
    assert _write(tmp_path / "s", _documents(7, stop_before=0)) == [7]


def test_killed_after_the_last_shard_and_before_the_mark(tmp_path: Path) -> None:
    _write(tmp_path / "s", _documents(7))
    (tmp_path / "s" / "complete.json").unlink()
    assert _write(tmp_path / "s", _documents(7)) == [7]
    assert list(read_shards(tmp_path / "s")) == _expected(7)


def test_a_half_written_shard_is_not_read(tmp_path: Path) -> None:
    _write(tmp_path / "s", _documents(7))
    (tmp_path / "s" / "00003.partial").write_text("half")
    assert list(read_shards(tmp_path / "s")) == _expected(7)


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", ["00000.txt", "00001.txt", "00002.txt", "00001.sha256", "00002.sha256"])
@pytest.mark.parametrize("ended", [False, True])
def test_a_damaged_shard_is_split_again(ended: bool, name: str, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    if ended:
        _write(folder, _documents(9))
    else:
        with pytest.raises(InterruptedError):
            _write(folder, _documents(12, stop_before=10))
    damage_file(folder / name, kind)
    if ended:
        with pytest.raises(DataError, match="run the same command again"):
            list(read_shards(folder))
    count = 9 if ended else 12
    assert _write(folder, _documents(count))[-1] == count
    assert list(read_shards(folder)) == _expected(count)


def test_odd_line_separators_stay_inside_a_sentence(tmp_path: Path) -> None:
    list(write_shards(iter(["x"]), lambda text: ["a\u2028b", "", "c\rd"], tmp_path / "s"))
    assert list(read_shards(tmp_path / "s")) == ["a\u2028b", "", "c\rd"]
