"""Documents to sentences, in any language.

The splitter is sentencex (Wikimedia, MIT): rules for some 300 languages with fallbacks for the rest. Of paragraphs put
together from sentences of twenty languages it finds 77 to 96% of the boundaries, and 90 to 99% of those it names are
right. Thai and Lao have no mark for the end of a sentence: there a text that is too long for one is cut at the spaces
between clauses, into parts as long as fit, which need not be sentences.

Sentences of a long stream of documents are written down in shards, so that a killed run goes on where it stopped:

    <folder>/00000.txt       sentences of the documents 0..1999, one a line, in their stored form
    <folder>/00000.sha256    the hash of that file
    <folder>/complete.json   written once the stream has ended: how many documents it had

A shard is moved to its place when it is whole. What is read back does not depend on how often the run was stopped.
Going on leaves out the finished documents: a stream that can `skip` does so, of another they are read again; once the
stream has ended it is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import sentencex

from mlsg.cache.files import read_json, sha256_file, sync, write_atomically
from mlsg.errors import DataError
from mlsg.text.length import length

DOCUMENTS_A_SHARD = 2000
_COMPLETE = "complete.json"
_UNMARKED = re.compile("[\u0e01-\u0eff]")
_LONGEST_CUT = 240  # in the measure of mlsg.text.length: 80 characters, about a Thai sentence


def splitter() -> str:
    """Return the name and version of the splitter, since another version may split differently."""
    from importlib.metadata import version

    return f"sentencex {version('sentencex')}"


def split(document: str, lang: str) -> Iterator[str]:
    """Yield the sentences of a document in their order; a line break always ends one."""
    for line in document.splitlines():
        for sentence in sentencex.segment(lang, line):
            if stripped := sentence.strip():
                yield from _cut(stripped)


def write_shards(
    documents: Iterator[str], sentences_of: Callable[[str], Iterable[str]], folder: Path, size: int = 0
) -> Iterator[int]:
    """Write the shards that are missing; yields the number of documents done, at the start and after each shard.

    `sentences_of` gives the sentences of a document; none may hold a line break. `size`: documents a shard.
    """
    size = size or DOCUMENTS_A_SHARD
    folder.mkdir(exist_ok=True)
    if has_ended(folder):
        yield read_json(folder / _COMPLETE)["documents"]
        return
    shard = len(_finished(folder))
    skip: Callable[[int], int] | None = getattr(documents, "skip", None)
    done = skip(shard * size) if skip else sum(1 for _ in islice(documents, shard * size))
    yield done
    while taken := list(islice(documents, size)):
        _write(folder / f"{shard:05}.txt", (sentence for document in taken for sentence in sentences_of(document)))
        shard, done = shard + 1, done + len(taken)
        yield done
    write_atomically(folder / _COMPLETE, f'{{"documents": {done}}}\n')


def has_ended(folder: Path) -> bool:
    """Whether the stream has ended, so that it is not asked again."""
    return (folder / _COMPLETE).exists()


def read_shards(folder: Path) -> Iterator[str]:
    """Yield the sentences of all shards in their order."""
    return chain.from_iterable(map(stored_lines, _finished(folder)))


def read_while_written(written: Iterator[int], folder: Path) -> Iterator[str]:
    """Yield the sentences of `write_shards(...)` shard by shard; none is written before it is needed."""
    read = 0
    for _ in written:
        while (path := folder / f"{read:05}.txt").exists():
            yield from stored_lines(path)
            read += 1


def stored_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file of sentences in stored form; only LF ends one."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.removesuffix("\n")


def _cut(sentence: str) -> Iterator[str]:
    if length(sentence) <= _LONGEST_CUT or not _UNMARKED.search(sentence):
        yield sentence
        return
    part = ""
    for clause in sentence.split():
        joined = f"{part} {clause}" if part else clause
        if part and length(joined) > _LONGEST_CUT:
            yield part
            joined = clause
        part = joined
    yield part


def _finished(folder: Path) -> list[Path]:
    """Return the shards from the first up to the first that is missing; verified. Raises DataError for damage."""
    shards: list[Path] = []
    written = set(folder.glob("*.sha256"))
    while (path := folder / f"{len(shards):05}.txt").exists():
        own = path.with_suffix(".sha256")
        if own not in written or own.read_bytes() != sha256_file(path).encode():
            path.unlink()
            written.add(own)
            break
        shards.append(path)
    if (folder / _COMPLETE).exists() and len(shards) < len(written):
        (folder / _COMPLETE).unlink()
        raise DataError(f"{path} was damaged", "run the same command again: its documents are split again")
    return shards


def _write(path: Path, sentences: Iterable[str]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{sentence}\n" for sentence in sentences)
    sync(partial)
    write_atomically(path.with_suffix(".sha256"), sha256_file(partial))
    partial.rename(path)
