"""Files of --source that can be read only once."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsg import api
from mlsg.config.recipes import load_recipe
from mlsg.context import open_context
from mlsg.data.sources import Reading, fingerprint_sources, pipes_kept, stream_sources
from mlsg.errors import DataError

_LINES = [f"Sentence number {number} comes through a pipe.\n" for number in range(30_000)]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A pipe into which a thread writes once."""
    yield from _written(tmp_path / "a.txt", "".join(_LINES).encode())


def _written(path: Path, content: bytes) -> Iterator[Path]:
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(content,), daemon=True)
    writer.start()
    yield path
    writer.join(timeout=20)
    assert not writer.is_alive()


def test_a_pipe_is_read_once_for_its_fingerprint_and_its_text(tmp_path: Path, pipe: Path) -> None:
    (tmp_path / "b.txt").write_text("".join(_LINES))
    with pipes_kept([pipe, pipe, tmp_path / "b.txt"]) as files:
        prints = list(fingerprint_sources(files, "text").values())
        assert prints[0] == prints[1] == prints[2]
        assert list(stream_sources(files[:1])) == [line.rstrip("\n") for line in _LINES]
        assert files[2] == tmp_path / "b.txt"
    assert not files[0].exists()


def test_prepare_takes_a_pipe(tmp_path: Path, pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = load_recipe("zero_shot", ["prepare.drop_evaluation=false"])
    artefact = api.run_prepare(recipe, open_context(tmp_path / "workspace"), [pipe])
    assert artefact.facts["kept"] == len(_LINES)


def test_what_is_wrong_in_a_pipe_is_said_of_the_pipe(tmp_path: Path) -> None:
    packed = gzip.compress(b"n;text\n1;a\n2\n")
    for path in _written(tmp_path / "a.csv.gz", packed):
        with pytest.raises(DataError) as caught, pipes_kept([path]) as files:
            list(stream_sources(files, "text", Reading(";")))
        assert str(caught.value).startswith(f"{path}, line 3: 1 columns")


def test_a_pipe_of_an_unknown_kind_is_refused_before_it_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="unknown kind"), pipes_kept([tmp_path / "pipe"]):
        pass


def test_a_device_is_no_file_of_sentences(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="unknown kind"):
        list(stream_sources([tmp_path / "a.txt"]))
