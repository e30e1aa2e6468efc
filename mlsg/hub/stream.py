"""Rows of a data set while they arrive: from any row on, in the order of its files or as a seeded sample of them.

A sample goes round a few files that the seed chooses. At each visit it takes the first rows of a row group that the
seed chooses; when all groups of the file were visited, the next rows of each, twice as many; when these files are used
up, it goes on to the next ones. So a part of a sample is spread over many places, it is the same on every machine, and
in the end every row has come once.

After a transient error a file is opened anew and the rows that came already are left out: none is lost or doubled.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from mlsg.cache.files import sha256_text
from mlsg.errors import MlsgError
from mlsg.hub.errors import named
from mlsg.hub.files import OtherFiles, ParquetFiles, files_of
from mlsg.hub.retry import RetryPolicy, is_transient, wait_or_give_up
from mlsg.hub.rows import attempt, cached_table, objection, read_rows, select_rows, with_builder

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

_FEWEST_FILES, _MOST_FILES = 4, 16  # that a sample goes round at a time: a quarter of all, within these


@dataclass(frozen=True)
class Sample:
    """`rows` at a first visit; `seed` chooses the files and row groups."""

    rows: int
    seed: int


@dataclass(frozen=True)
class Part:
    """`rows` of one row group from row `first` of it on, or, where that is None, all that come."""

    file: int
    group: int
    first: int
    rows: int | None


@dataclass
class Taken:
    """What has come of one file: `rows` rows in one piece, from row `first` of the file on."""

    file: str
    first: int
    rows: int = 0


def read_stream(
    source: HubSource, commit: str, policy: RetryPolicy, sample: Sample | None = None
) -> Iterator[Mapping[str, Any]]:
    """As `read_rows`, while the rows arrive: a `RowStream`, or the rows in the cache (never for a sample).

    Errors are raised when the connection keeps breaking, too.
    """
    if sample is None and cached_table(source, commit):
        return read_rows(source, commit, policy)

    def opened(builder: Any) -> RowStream:
        known = (builder.info.splits or {}).get(source.split)
        files = files_of(builder, source, commit)
        return RowStream(files, source, commit, policy, sample, known.num_examples if known else None)

    return with_builder(source, commit, policy, opened)


class RowStream(Iterator[Mapping[str, Any]]):
    """The selected rows; `total` of them, where the card says so. `taken`: what has come or was skipped, in order."""

    def __init__(
        self,
        files: ParquetFiles | OtherFiles,
        source: HubSource,
        commit: str,
        policy: RetryPolicy,
        sample: Sample | None = None,
        total: int | None = None,
    ) -> None:
        self.taken: list[Taken] = []
        self.total = total
        self._files, self._source, self._commit, self._policy = files, source, commit, policy
        self._ended: set[int] = set()  # files whose last row has come, of those of unknown length
        self._parts = self._sampled(sample) if sample else self._all_in_order()
        self._selected = select_rows((row for part in self._left() for row in self._read(part)), source)

    def __next__(self) -> Mapping[str, Any]:
        return next(self._selected)

    def skip(self, count: int) -> int:
        """Leave out the next rows, of row groups without fetching them; returns how many of them there were.

        Only before the first row is asked for.
        """
        if self._source.where:
            return sum(1 for _ in islice(self, count))
        left = count
        while left and (part := next(self._parts, None)) is not None:
            known = part.rows is not None and self._groups(part.file)[part.group] is not None
            done = min(left, part.rows or 0) if known else sum(1 for _ in islice(self._read(part), left))
            if known:
                self._note(part).rows += done
            left -= done
            if not left:
                rows = None if part.rows is None else part.rows - done
                self._parts = chain([replace(part, first=part.first + done, rows=rows)], self._parts)
        return count - left

    def _left(self) -> Iterator[Part]:
        while (part := next(self._parts, None)) is not None:  # `skip` may have put another iterator there
            yield part

    def _all_in_order(self) -> Iterator[Part]:
        for file in range(len(self._files.names)):
            yield from (Part(file, group, 0, rows) for group, rows in enumerate(self._groups(file)))

    def _sampled(self, sample: Sample) -> Iterator[Part]:
        order = _shuffled(self._files.names, str(sample.seed))
        together = min(_MOST_FILES, max(_FEWEST_FILES, math.ceil(len(order) / 4)))
        for start in range(0, len(order), together):
            waiting = deque(self._visits(file, sample) for file in order[start : start + together])
            while waiting:
                visits = waiting.popleft()
                if (part := next(visits, None)) is not None:
                    waiting.append(visits)
                    yield part

    def _visits(self, file: int, sample: Sample) -> Iterator[Part]:
        groups, first, rows = self._groups(file), 0, sample.rows
        order = _shuffled(range(len(groups)), f"{sample.seed} {self._files.names[file]}")
        while order and file not in self._ended:
            for group in order:
                known = groups[group]
                yield Part(file, group, first, rows if known is None else min(rows, known - first))
            first, rows = first + rows, 2 * rows
            order = [group for group in order if (known := groups[group]) is None or known > first]

    def _groups(self, file: int) -> Sequence[int | None]:
        return attempt(lambda: self._files.groups(file), self._source, self._commit, self._policy)

    def _read(self, part: Part) -> Iterator[Mapping[str, Any]]:
        came = failures = 0
        taken = self._note(part)
        while True:
            try:
                rows = self._files.read(part.file, part.group, part.first + came)
                for row in islice(rows, None if part.rows is None else part.rows - came):
                    came, failures = came + 1, 0
                    taken.rows += 1
                    yield row
                break
            except MlsgError:
                raise
            except Exception as error:
                if not is_transient(error):
                    raise objection(error, self._source, self._commit) from error
                failures += 1
                wait_or_give_up(failures, error, named("dataset", self._source.path), self._policy)
        if part.rows is None or came < part.rows:
            self._ended.add(part.file)

    def _note(self, part: Part) -> Taken:
        """The last entry of `taken`, a new one where the part does not follow upon it."""
        before = self._groups(part.file)[: part.group]
        taken = Taken(self._files.names[part.file], sum(rows or 0 for rows in before) + part.first)
        last = self.taken[-1] if self.taken else None
        if last and (last.file, last.first + last.rows) == (taken.file, taken.first):
            return last
        self.taken.append(taken)
        return taken


def _shuffled(items: Sequence[object], seed: str) -> list[int]:
    """The numbers of the items, in an order that no version and no machine changes."""
    return sorted(range(len(items)), key=lambda number: sha256_text(f"{seed} {items[number]}"))
