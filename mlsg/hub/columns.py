"""From raw rows to what a source declares: the rows that `where` selects, and the declared columns of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlsg.errors import DataError, nearest
from mlsg.hub.errors import named

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

_VALUES_SHOWN = 12


def select_rows(rows: Iterable[Mapping[str, Any]], source: HubSource) -> Iterator[dict[str, Any]]:
    """The declared columns (all, where none is declared) of the rows whose values are those of `where`.

    A column `a.b` is field b of the table in column a; its key stays `a.b`. Values of `where` are compared as text.
    Raises DataError for a field that does not exist, and when there are rows but `where` selects none.
    """
    seen: dict[str, set[str]] = {column: set() for column in source.where}
    any_row = any_selected = False
    for row in rows:
        any_row = True
        values = {column: str(_value(row, column, source)) for column in source.where}
        for column, value in values.items():
            if len(seen[column]) < _VALUES_SHOWN:
                seen[column].add(value)
        if values == source.where:
            any_selected = True
            yield {column: _value(row, column, source) for column in source.columns or row}
    if any_row and not any_selected:
        wanted = " and ".join(f"{column} = {value}" for column, value in source.where.items())
        found = "; ".join(f"{column} is {', '.join(sorted(values))}" for column, values in seen.items())
        raise DataError(f"{_where(source)} has no row with {wanted}", f"fix `where` (found: {found})")


def top_columns(source: HubSource) -> list[str]:
    """The table's own columns that `select_rows` reads, without repetition; empty means all: `a.b` -> `a`."""
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
