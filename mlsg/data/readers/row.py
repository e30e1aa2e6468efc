"""What every reader yields, and how a declared column is found in a header."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mlsg.errors import DataError, nearest


class Row(NamedTuple):
    """One record: `place` is "line 12" or "pair 12"; `cells` are the declared columns in the declared order."""

    path: Path
    place: str
    cells: tuple[str, ...]


def column_indexes(columns: Sequence[str | int], header: Sequence[str], path: Path) -> list[int]:
    """Where the declared columns stand: a number is itself, a name is looked up in the header.

    Raises DataError for a name that the header does not have, or has twice.
    """
    indexes = []
    for column in columns:
        if isinstance(column, int):
            indexes.append(column)
            continue
        count = header.count(column)
        if count != 1:
            problem = f'{path}, line 1: {"no" if not count else "more than one"} column "{column}" in the header'
            raise DataError(problem, f"declare the right columns ({nearest(column, header)})")
        indexes.append(header.index(column))
    return indexes
