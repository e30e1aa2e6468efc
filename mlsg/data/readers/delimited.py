"""Columns between delimiters, in one file or in files that belong together line by line.

Delimiter and quoting are two choices: TAB files may be quoted, comma files unquoted. Read with quoting where there is
none, a single `"` swallows every row up to the next one, silently.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlsg.config.schema import Files
from mlsg.data.readers.text import Row, raw_lines, shortened, take_quotes, text_lines, wrong_column
from mlsg.errors import DataError

_LARGEST_CELL = 1 << 24  # characters; a larger one is a quote that was never closed


def read_delimited(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The rows of one file; blank lines are left out. Declared files may have cells beyond the declared columns.

    Raises DataError for a missing column, a row that is too short (of --source: not as wide as the header), quotes that
    never close, and a column of which every cell is in quotes where no one said whether these belong to the text.
    """
    path = paths[0]
    records = _quoted(path, files) if files.quoted else _unquoted(path, files)
    line, header = 1, list[str]()
    if files.header:
        try:
            line, header = next(records)
        except StopIteration:
            return
    keys = [key if files.header else int(key) for key in files.where]
    columns, filtered = (_indexes(names, header, files, f"{path}, line {line}") for names in (files.columns, keys))
    filters = list(zip(filtered, files.where.values(), strict=True))
    needed = max([*columns, *filtered]) + 1
    in_quotes = _suspects(columns, files)
    for line, cells in records:
        if len(cells) < needed or (not files.declared and len(cells) != len(header)):
            raise _wrong_width(f"{path}, line {line}", len(cells), needed, len(header), files)
        if in_quotes:
            in_quotes = _still_in_quotes(in_quotes, cells)
        if all(cells[index] == value for index, value in filters):
            yield Row(path, "line", line, tuple([cells[index] for index in columns]))
    _refuse_quotes(path, in_quotes, header, files)


def read_parallel(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """Rows of (sentence 1, sentence 2, score): the sentences in one file (two columns) or two, the scores in the last.

    Line i belongs to line i, so no line may be left out: a blank score is a pair that was never scored. With
    `scored_lines` = N only the first N lines are pairs. Raises DataError when the files have different numbers of lines
    (or other numbers than `scored_lines` says).
    """
    limit = files.scored_lines
    columns = _indexes(files.columns, [], files, str(paths[0]))
    in_quotes = _suspects(columns if len(paths) == 2 else (), files)
    streams = [itertools.islice(text_lines(path, files.encoding), limit or None) for path in paths]
    for number, lines in enumerate(itertools.zip_longest(*streams), start=1):
        if None in lines:
            raise _uneven(paths, files)
        cells = lines[0].split(files.delimiter) if len(lines) == 2 else lines[:-1]
        if len(lines) == 2 and len(cells) <= max(columns):
            raise _wrong_width(f"{paths[0]}, line {number}", len(cells), max(columns) + 1, 0, files)
        if in_quotes:
            in_quotes = _still_in_quotes(in_quotes, cells)
        texts = [cells[index] for index in columns] if len(lines) == 2 else cells
        yield Row(paths[0], "line", number, (*texts, lines[-1]))
    _refuse_quotes(paths[0], in_quotes, [], files)
    scores = _count(paths[-1], files) if limit else 0
    if scores != limit:
        problem = f"{paths[-1]} has {scores} lines where scored_lines = {limit} is declared"
        raise DataError(problem, "declare as many as there are, or give the right file")


def _indexes(columns: Sequence[str | int], header: Sequence[str], files: Files, where: str) -> list[int]:
    """Which cells the columns are: a number is itself, a name is looked up in the header, where it must be once."""
    names = [name.strip() for name in header]
    for column in columns:
        if isinstance(column, str) and names.count(column.strip()) != 1:
            raise wrong_column(where, column, names, files.declared)
    return [names.index(column.strip()) if isinstance(column, str) else column for column in columns]


def _suspects(columns: Sequence[int], files: Files) -> dict[int, int]:
    """The columns whose cells have all been in quotes so far, each with the number of these."""
    return {} if files.quoted or files.quotes_said else dict.fromkeys(columns, 0)


def _still_in_quotes(suspects: Mapping[int, int], cells: Sequence[str]) -> dict[int, int]:
    found = {index: (count, cells[index].strip()) for index, count in suspects.items()}
    return {
        index: count + bool(cell)
        for index, (count, cell) in found.items()
        if not cell or (len(cell) > 1 and cell[0] == cell[-1] == '"')
    }


def _refuse_quotes(path: Path, suspects: Mapping[int, int], header: Sequence[str], files: Files) -> None:
    for index, count in suspects.items():
        if count > 1:
            name = shortened(header[index]) if header else index
            remedy = "quoted = false" if files.declared else "--no-quoted"
            problem = f"{path}: every cell of column {name} is in quotes, but the file is not read as quoted"
            raise DataError(problem, f"{take_quotes(files.declared)}, or {remedy} if the quotes belong to the text")


def _unquoted(path: Path, files: Files) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text_lines(path, files.encoding), start=1):
        if line.strip():
            yield number, line.split(files.delimiter)


def _quoted(path: Path, files: Files) -> Iterator[tuple[int, list[str]]]:
    """The records with the line on which each begins."""
    csv.field_size_limit(_LARGEST_CELL)
    reader = csv.reader(raw_lines(path, files.encoding), delimiter=files.delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            declare = "declare quoted = false if quotes are ordinary characters in it"
            remedy = declare if files.declared else "give --no-quoted if quotes are ordinary characters in it"
            raise DataError(f"{path}, line {line}: {error}", f"fix the quotes of this row, or {remedy}") from None
        if any(cell.strip() for cell in cells):
            yield line, cells


def _wrong_width(where: str, cells: int, needed: int, width: int, files: Files) -> DataError:
    if files.declared:
        problem = f"{where}: {cells} columns where column {needed} is needed"
        return DataError(problem, "fix the line, or declare delimiter, quoted and columns as the file has them")
    remedy = "quote cells that hold a delimiter, a quote or a line break"
    if not files.quoted:
        remedy = "give --delimiter or --quoted if that is how its columns are told apart"
    return DataError(f"{where}: {cells} columns where the header has {width}", f"fix the row; {remedy}")


def _uneven(paths: Sequence[Path], files: Files) -> DataError:
    named = " against ".join(f"{path} has {_count(path, files)} lines" for path in paths)
    remedy = "give files that belong together, or declare scored_lines = N if only the first N are scored"
    return DataError(named, remedy)


def _count(path: Path, files: Files) -> int:
    return sum(1 for _ in text_lines(path, files.encoding))
