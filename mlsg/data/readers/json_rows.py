"""JSON: one array of objects, or one object a line. A column `a.b` is the key `b` of the object under `a`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlsg.config.schema import Files
from mlsg.data.readers.row import Row
from mlsg.data.readers.text import text_lines
from mlsg.errors import DataError, nearest

_READER = 'declare the right reader: "json" (one array of objects) or "jsonl" (one object a line)'


def read_json_lines(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The objects of a JSON Lines file. Raises DataError for a line that is no object or lacks a column."""
    for number, line in enumerate(text_lines(paths[0], files.encoding), start=1):
        if line.strip():
            yield from _row(_parse(line, paths[0], number), files, paths[0], f"line {number}")


def read_json_array(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The objects of one JSON array. Raises DataError for JSON that is no array of objects."""
    content = _parse("\n".join(text_lines(paths[0], files.encoding)), paths[0], 1)
    if not isinstance(content, list):
        raise DataError(f"{paths[0]} is no JSON array", _READER)
    for number, record in enumerate(content, start=1):
        yield from _row(record, files, paths[0], f"object {number}")


def cell(record: Mapping[str, Any], column: str, place: str) -> str:
    """The value of one column as text: a string as it is, a number as JSON writes it, null as "".

    Raises DataError for a missing column and for a value that is neither.
    """
    value: Any = record
    for key in [column] if column in record else column.split("."):
        if not isinstance(value, Mapping) or key not in value:
            known = nearest(column, [name for name in record if isinstance(name, str)])
            raise DataError(f'{place}: no column "{column}"', f"declare the right columns ({known})")
        value = value[key]
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        problem = f'{place}: column "{column}" holds a {type(value).__name__}'
        raise DataError(problem, "declare a column of texts or numbers")
    return repr(value)


def _row(record: object, files: Files, path: Path, place: str) -> Iterator[Row]:
    if not isinstance(record, dict):
        raise DataError(f"{path}, {place}: no JSON object", _READER)
    where = f"{path}, {place}"
    if all(cell(record, name, where) == value for name, value in files.where.items()):
        yield Row(path, place, tuple(cell(record, str(column), where) for column in files.columns))


def _parse(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"{path}, line {line + error.lineno - 1}, column {error.colno}: no JSON ({error.msg})"
        raise DataError(problem, f"mend the file, or {_READER}") from None
    except RecursionError:
        raise DataError(f"{path}, line {line}: JSON nested too deep", "give flat objects") from None
