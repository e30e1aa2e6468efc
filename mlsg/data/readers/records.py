"""Records with named values: JSON (one array of objects, or one object a line) and parquet.

A column `a.b` is the key `b` of the object under `a`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlsg.config.schema import Files
from mlsg.data.readers.text import Row, text_lines, wrong_column
from mlsg.errors import DataError

_ROWS_AT_ONCE = 4096


def read_json_lines(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The objects of a JSON Lines file. Raises DataError for a line that is not an object or lacks a column."""
    path = paths[0]
    lines = enumerate(text_lines(path, files.encoding), start=1)
    records = ((number, _parse(line, files, path, number)) for number, line in lines if line.strip())
    yield from _rows(records, files, path, "line")


def read_json_array(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The objects of one JSON array. Raises DataError for JSON that is not an array of objects."""
    text = "\n".join(text_lines(paths[0], files.encoding))
    content = _parse(text, files, paths[0], 1) if text.strip() else []
    if not isinstance(content, list):
        raise DataError(f"{paths[0]} is not a JSON array", _other_reader(files))
    yield from _rows(enumerate(content, start=1), files, paths[0], "object")


def read_parquet(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The rows of a parquet file, some thousand at a time.

    Raises DataError for a missing column, a column of --source that is not text, and a damaged file.
    """
    import pyarrow
    from pyarrow import parquet

    path = paths[0]
    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            names = file.schema_arrow.names
            tops = [column if column in names else column.split(".")[0] for column in _columns(files)]
            for column, top in zip(_columns(files), tops, strict=True):
                if names.count(top) != 1:
                    raise wrong_column(str(path), column, names, files.declared)
                kind = file.schema_arrow.field(top).type
                kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
                if not (files.declared or top != column or kind in (pyarrow.string(), pyarrow.large_string())):
                    raise DataError(f'{path}: column "{column}" holds {kind}', _give_text(files.declared))
            batches = file.iter_batches(_ROWS_AT_ONCE, columns=list(dict.fromkeys(tops)), use_threads=False)
            records = (record for batch in batches for record in batch.to_pylist())
            yield from _rows(enumerate(records, start=1), files, path, "row")
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable parquet file ({error})", "write or fetch the file again") from None


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
    if declared and isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    shown = json.dumps(value, default=str, ensure_ascii=False)[:40]
    raise DataError(f'{where}: "{column}" holds {shown} ({type(value).__name__})', _give_text(declared))


def _columns(files: Files) -> list[str]:
    return [*map(str, files.columns), *files.where]


def _rows(records: Iterable[tuple[int, object]], files: Files, path: Path, unit: str) -> Iterator[Row]:
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


def _parse(text: str, files: Files, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"{path}, line {line + error.lineno - 1}, column {error.colno}: not JSON ({error.msg})"
        raise DataError(problem, f"fix the file, or {_other_reader(files)}") from None
    except RecursionError:
        raise DataError(f"{path}, line {line}: not JSON (nested too deep)", "give flat objects") from None


def _other_reader(files: Files) -> str:
    if files.declared:
        return 'declare the right reader: "json" (one array of objects) or "jsonl" (one object a line)'
    return "name it by what it holds: .json (one array of objects) or .jsonl (one object a line)"


def _give_text(declared: bool) -> str:
    return "declare a column of texts or numbers" if declared else "name a column of text with --column"
