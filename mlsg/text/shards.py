"""Sentences of a long stream of documents, written down in shards, so that a killed run goes on where it stopped.

    <folder>/00000.txt       sentences of the documents 0..1999, one a line, in their stored form
    <folder>/complete.json   there once the stream has ended: how many documents it had

A shard is written beside its place and moved there when it is whole. What is read back does not depend on how often
the run was stopped. Going on asks the stream for the finished documents again and skips them: only their splitting is
saved; once the stream has ended it is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from mlsg.cache.files import read_json, sync, write_atomically

DOCUMENTS_A_SHARD = 2000
_COMPLETE = "complete.json"


def write_shards(documents: Iterator[str], split: Callable[[str], Iterable[str]], folder: Path) -> Iterator[int]:
    """Write the shards that are missing; yields the number of documents done, at the start and after each shard.

    `split` gives the sentences of a document; none may hold a line break.
    """
    folder.mkdir(exist_ok=True)
    complete = folder / _COMPLETE
    if complete.exists():
        yield read_json(complete)["documents"]
        return
    shard = len(_finished(folder))
    done = sum(1 for _ in islice(documents, shard * DOCUMENTS_A_SHARD))
    yield done
    while taken := list(islice(documents, DOCUMENTS_A_SHARD)):
        _write(folder / f"{shard:05}.txt", (sentence for document in taken for sentence in split(document)))
        shard, done = shard + 1, done + len(taken)
        yield done
    write_atomically(complete, f'{{"documents": {done}}}\n')


def read_shards(folder: Path) -> Iterator[str]:
    """Yield the sentences of all shards in their order."""
    for path in _finished(folder):
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")


def _finished(folder: Path) -> list[Path]:
    """Return the shards from the first up to the first that is missing."""
    names = {path.name for path in folder.glob("*.txt")}
    shards: list[Path] = []
    while (name := f"{len(shards):05}.txt") in names:
        shards.append(folder / name)
    return shards


def _write(path: Path, sentences: Iterable[str]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{sentence}\n" for sentence in sentences)
    sync(partial)
    partial.rename(path)
