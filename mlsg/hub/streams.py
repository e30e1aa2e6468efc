"""Rows of a data set too large to be fetched first, read while they arrive; a broken line loses and doubles none.

`datasets` can say where a stream stands and go on from there, at the cost of reading the current file again. That place
is noted every so many rows; after a fault the stream is opened anew there and the rows since then are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlsg.hub.columns import check_columns, picked
from mlsg.hub.errors import named
from mlsg.hub.retry import Patience, is_passing, pause
from mlsg.hub.rows import fetched, objection, read_rows
from mlsg.hub.tables import cached_table

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

_EVERY = 1000


@dataclass
class _Place:
    """How far a stream has come: the noted state, and the rows delivered since."""

    state: Any = None
    since: int = 0


def read_stream(source: HubSource, commit: str, patience: Patience) -> Iterator[Mapping[str, Any]]:
    """The picked rows of one split, in its order; from the cache, if `datasets` has the whole of it.

    Raises DataError and HubUnreachableError, at the start or when a broken line stays broken.
    """
    if cached_table(source, commit):
        return read_rows(source, commit, patience)
    stream = _opened(source, commit, patience)
    return picked(_unbroken(stream, source, commit, patience), source)


def _unbroken(stream: Any, source: HubSource, commit: str, patience: Patience) -> Iterator[Mapping[str, Any]]:
    place, failures, checked = _Place(), 0, False
    while True:
        try:
            for row in _rows_from(stream, place):
                if not checked:
                    check_columns(row, source)
                    checked = True
                failures = 0
                yield row
            return
        except Exception as error:
            if not is_passing(error):
                raise objection(error, source, commit) from error
            failures += 1
            pause(failures, error, named("dataset", source.path), patience)
        stream = _opened(source, commit, patience)


def _rows_from(stream: Any, place: _Place) -> Iterator[Mapping[str, Any]]:
    """Rows of a newly opened stream from `place` on, which moves with them."""
    if place.state is not None:
        stream.load_state_dict(place.state)
    rows = iter(stream)
    for _ in islice(rows, place.since):
        pass
    for row in rows:
        place.since += 1
        if place.since == _EVERY:
            place.state, place.since = stream.state_dict(), 0
        yield row


def _opened(source: HubSource, commit: str, patience: Patience) -> Any:
    return fetched(source, commit, patience, lambda builder: builder.as_streaming_dataset(split=source.split))
