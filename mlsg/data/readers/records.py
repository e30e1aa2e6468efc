"""Records with named values, and JSON: one array of objects, or one object a line.

A column `a.b` is the key `b` of the object under `a`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from mlsg.config.schema import Files
from mlsg.data.readers.text import Row, shortened, text_lines, wrong_column
from mlsg.errors import DataError


def read_json_lines(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The objects of a JSON Lines file. Raises DataError for a line that is not an object or lacks a column."""
    path = paths[0]
    lines = enumerate(text_lines(path, files.encoding), start=1)
    records = ((number, _parse(line, files, path, number)) for number, line in lines if line.strip())
    yield from rows_of(records, files, path, "line")


def read_json_array(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The objects of one JSON array. Raises DataError for JSON that is not an array of objects."""
    text = "\n".join(text_lines(paths[0], files.encoding))
    content = _parse(text, files, paths[0], 1) if text.strip() else []
    if not isinstance(content, list):
        raise DataError(f"{paths[0]} is not a JSON array", _other_reader(files))
    yield from rows_of(enumerate(content, start=1), files, paths[0], "object")


def rows_of(records: Iterable[tuple[int, object]], files: Files, path: Path, unit: str) -> Iterator[Row]:
    """The declared columns of the records that `files.where` selects. Raises DataError as `cell` does."""
    columns, filters = [str(column) for column in files.columns], files.where.items()
    for number, record in records:
        row = Row(path, unit, number, ())
        if not isinstance(record, dict):
            raise DataError(f"{row.where}: not a JSON object", _other_reader(files))
        if not filters or all(cell(record, name, row.where, files.declared) == value for name, value in filters):
            texts: list[Any] = [record.get(column) for column in columns]
            if not all(isinstance(text, str) for text in texts):
                texts = [cell(record, column, row.where, files.declared) for column in columns]
            yield Row(path, unit, number, tuple(texts))


def cell(record: Mapping[str, Any], column: str, where: str, declared: bool = True) -> str:
    """The value of one column as text: a string as it is, null as "", a declared number as JSON writes it.

    Raises DataError for a missing column and for a value that is none of these.
    """
    value: Any = record
    for key in [column] if column in record else column.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise wrong_column(where, column, [name for name in record if isinstance(name, str)], declared)
        value = value[key]
    if value is None or isinstance(value, str):
        return value or ""
    if declared and isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise DataError(f'{where}: "{column}" holds {_shown(value)} ({type(value).__name__})', give_text(declared))


def give_text(declared: bool) -> str:
    """The remedy where a column holds something else."""
    return "declare a column of texts or numbers" if declared else "name a column of text with --column"


def _shown(value: object) -> str:
    try:
        return shortened(json.dumps(value, default=str, ensure_ascii=False))
    except RecursionError:
        return "nested values"


def _parse(text: str, files: Files, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"{path}, line {line + error.lineno - 1}, column {error.colno}: not JSON ({error.msg})"
        raise DataError(problem, f"fix the file, or {_other_reader(files)}") from None
    except RecursionError:
        raise DataError(f"{path}, line {line}: not JSON (nested too deep)", "give flat objects") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise DataError(f"{path}, line {line}: a number of thousands of digits", "give it as a text") from None


def _other_reader(files: Files) -> str:
    if files.declared:
        return 'declare the right reader: "json" (one array of objects) or "jsonl" (one object a line)'
    return "name it by what it holds: .json (one array of objects) or .jsonl (one object a line)"
