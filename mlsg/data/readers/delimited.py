"""Columns between delimiters. Delimiter and quoting are two choices: TAB files may be quoted, comma files bare.

Read with quoting where there is none, a single `"` swallows every row up to the next one, silently.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlsg.config.schema import Files
from mlsg.data.readers.row import Row, column_indexes
from mlsg.data.readers.text import raw_lines, text_lines
from mlsg.errors import DataError

_LARGEST_CELL = 1 << 24


def read_delimited(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The rows of one file; blank lines are left out. Cells beyond the declared columns are allowed.

    Raises DataError for a missing column, a row that is too short, and quotes that never close.
    """
    path = paths[0]
    records = _quoted(path, files) if files.quoted else _plain(path, files)
    header: list[str] = []
    if files.header:
        try:
            _, header = next(records)
        except StopIteration:
            return
    columns = column_indexes(files.columns, header, path)
    filters = list(zip(column_indexes(_keys(files), header, path), files.where.values(), strict=True))
    last = max([*columns, *(index for index, _ in filters)])
    for line, cells in records:
        if len(cells) <= last:
            problem = f"{path}, line {line}: {len(cells)} columns where column {last + 1} is needed"
            raise DataError(problem, "mend the line, or declare delimiter, quoted and columns as the file has them")
        if all(cells[index] == value for index, value in filters):
            yield Row(path, f"line {line}", tuple(cells[index] for index in columns))


def _keys(files: Files) -> list[str | int]:
    return [key if files.header else int(key) for key in files.where]


def _plain(path: Path, files: Files) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text_lines(path, files.encoding), start=1):
        if line.strip():
            yield number, line.split(files.delimiter)


def _quoted(path: Path, files: Files) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_LARGEST_CELL)
    reader = csv.reader(raw_lines(path, files.encoding), delimiter=files.delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            remedy = "mend the quotes, or declare quoted = false if quotes are ordinary characters in it"
            raise DataError(f"{path}, line {line}: {error}", remedy) from None
        if any(cell.strip() for cell in cells):
            yield line, cells
