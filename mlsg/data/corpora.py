"""Unlabeled text of a declared corpus, as a stream: its original files first, then the hub."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from mlsg.config.catalog import Corpus, HubSource
from mlsg.data.original_files import find_files, fingerprint_files, fingerprint_hub
from mlsg.data.readers import read_texts
from mlsg.data.readers.records import cell
from mlsg.errors import DataError, HubUnreachableError
from mlsg.hub import Hub, RowStream, Sample

_VISITS = 20  # about how many places a sample of a streamed corpus comes from
_SENTENCES_A_DOCUMENT = 25


class StreamedTexts(Iterator[str]):
    """One text column of a hub stream, opened when it is first needed; a sample of it where `sample` is given."""

    def __init__(self, hub: Hub, source: HubSource, sample: Sample | None) -> None:
        self.sample, self._hub, self._source, self._number = sample, hub, source, 0

    @cached_property
    def rows(self) -> Iterator[Mapping[str, Any]]:
        """The stream."""
        return self._hub.stream(self._source, self.sample) if self.sample else self._hub.stream(self._source)

    def __next__(self) -> str:
        record, self._number = next(self.rows), self._number + 1
        where = f"hub data set {self._source.path}, split {self._source.split}, row {self._number}"
        return cell(record, self._source.columns[0], where)

    def skip(self, count: int) -> int:
        """Leave out the next texts, unread where the files allow it; returns how many of them there were."""
        skipped = (
            self.rows.skip(count) if isinstance(self.rows, RowStream) else sum(1 for _ in islice(self.rows, count))
        )
        self._number += skipped
        return skipped

    @property
    def opened(self) -> RowStream | None:
        """The stream, once it is open and where its rows come from the hub itself."""
        rows = self.__dict__.get("rows")
        return rows if isinstance(rows, RowStream) else None


def stream_corpus(
    corpus: Corpus, data_root: Path | None, hub: Hub, limit: int = 0, seed: int = 0
) -> tuple[str, Iterator[str]]:
    """The corpus's fingerprint, and its raw sentences (or documents), file by file or split by split.

    Within a record the text columns follow one another: both sentences of row 1, then both of row 2. Where `limit`
    sentences are wanted of a corpus that is streamed from the hub, a seeded sample comes first: as long as it is not
    used up, what has been read is as good as a sample of all (`StreamedTexts`). Raises
    SettingError for a --data-root that is not a folder, DataError when the text is not found or the hub does not serve
    it, HubUnreachableError when the hub is unreachable; reading raises what the readers and the hub raise.
    """
    paths, no_files = find_files(corpus.files, corpus.root, data_root)
    if paths:
        return fingerprint_files(corpus, paths), _from_files(corpus, paths)
    if not corpus.hub:
        raise DataError(f"corpus {corpus.name}: {no_files}", "give --data-root, or --source with files of your own")
    sources = [_pinned(source, corpus, no_files, hub) for source in corpus.hub]
    if not corpus.streamed or [len(source.columns) for source in sources] != [1]:
        return fingerprint_hub(corpus, sources), _from_hub(corpus, sources, hub)
    each = limit // _VISITS // (_SENTENCES_A_DOCUMENT if corpus.documents else 1)
    sample = Sample(min(1000, max(10, each)), seed) if limit else None
    return fingerprint_hub(corpus, sources), StreamedTexts(hub, sources[0], sample)


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
