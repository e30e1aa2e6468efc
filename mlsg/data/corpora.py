"""Unlabeled text of a declared corpus, as a stream: its original files first, then the hub."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlsg.config.catalog import Corpus, HubSource
from mlsg.data.original_files import find_files, fingerprint_files, fingerprint_hub
from mlsg.data.readers import read_texts
from mlsg.data.readers.records import cell
from mlsg.errors import DataError, HubUnreachableError
from mlsg.hub import Hub


def stream_corpus(corpus: Corpus, data_root: Path | None, hub: Hub) -> tuple[str, Iterator[str]]:
    """The corpus's fingerprint, and its raw sentences (or documents), file by file or split by split.

    Within a record the text columns follow one another: both sentences of row 1, then both of row 2. Raises
    SettingError for a --data-root that is not a folder, DataError when the text is not found or the hub does not serve
    it, HubUnreachableError when the hub is unreachable; reading raises what the readers and the hub raise.
    """
    paths, no_files = find_files(corpus.files, corpus.root, data_root)
    if paths:
        return fingerprint_files(corpus, paths), _from_files(corpus, paths)
    if not corpus.hub:
        raise DataError(f"corpus {corpus.name}: {no_files}", "give --data-root, or --source with files of your own")
    sources = [_pinned(source, corpus, no_files, hub) for source in corpus.hub]
    return fingerprint_hub(corpus, sources), _from_hub(corpus, sources, hub)


def _pinned(source: HubSource, corpus: Corpus, no_files: str, hub: Hub) -> HubSource:
    try:
        return dataclasses.replace(source, revision=hub.check(source))
    except (DataError, HubUnreachableError) as error:
        problem = f"corpus {corpus.name}: {no_files}; {error.problem}"
        raise type(error)(problem, f"{error.remedy}, or give --source with files of your own") from None


def _from_files(corpus: Corpus, paths: Sequence[Path]) -> Iterator[str]:
    remaining = iter(paths)
    for files in corpus.files:
        yield from read_texts([next(remaining) for _ in files.paths], files)


def _from_hub(corpus: Corpus, sources: Sequence[HubSource], hub: Hub) -> Iterator[str]:
    for source in sources:
        records = hub.stream(source) if corpus.streamed else hub.rows(source)
        for number, record in enumerate(records, start=1):
            where = f"hub data set {source.path}, split {source.split}, row {number}"
            yield from (cell(record, column, where) for column in source.columns)
