"""From raw rows to what a source declares: rows that `where` lets through, and the declared columns of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlsg.errors import DataError, nearest
from mlsg.hub.errors import named

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

_SHOWN = 12


def picked(rows: Iterable[Mapping[str, Any]], source: HubSource) -> Iterator[dict[str, Any]]:
    """The declared columns (all, where none is declared) of the rows whose values are those of `where`.

    A column `a.b` is field b of the table in column a; its key stays `a.b`. Values of `where` are compared as text.
    Raises DataError for a field that is not there, and when there are rows but `where` lets none through.
    """
    met: dict[str, set[str]] = {column: set() for column in source.where}
    read = kept = 0
    for row in rows:
        read += 1
        values = {column: str(_value(row, column, source)) for column in source.where}
        for column, value in values.items():
            if len(met[column]) < _SHOWN:
                met[column].add(value)
        if all(values[column] == wanted for column, wanted in source.where.items()):
            kept += 1
            yield {column: _value(row, column, source) for column in source.columns or row}
    if read and not kept:
        wanted = " and ".join(f"{column} = {value}" for column, value in source.where.items())
        seen = "; ".join(f"{column} is {', '.join(sorted(values))}" for column, values in met.items())
        raise DataError(f"{_where(source)} has no row with {wanted}", f"mend `where` (seen: {seen})")


def top_columns(source: HubSource) -> list[str]:
    """The table's own columns that `picked` looks at, without repetition; empty means all: `a.b` -> `a`."""
    if not source.columns:
        return []
    return list(dict.fromkeys(column.partition(".")[0] for column in (*source.columns, *source.where)))


def check_columns(known: Iterable[str], source: HubSource) -> None:
    """Raise DataError when a declared column is not among `known`, the table's own columns."""
    names = list(known)
    for column in top_columns(source) or source.where:
        if column not in names:
            raise DataError(f'{_where(source)} has no column "{column}"', nearest(column, names))


def _value(row: Mapping[str, Any], column: str, source: HubSource) -> Any:
    value: Any = row
    for name in column.split("."):
        if not isinstance(value, Mapping) or name not in value:
            known = nearest(name, value) if isinstance(value, Mapping) else "it holds no fields"
            raise DataError(f'{_where(source)} has no column "{column}"', known)
        value = value[name]
    return value


def _where(source: HubSource) -> str:
    return f"{named('dataset', source.path)}, split {source.split},"
