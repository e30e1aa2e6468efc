"""Readers of sentence and pair files: for corpora, pair sets and `--source` alike.

Which reader, and how, is said by `Files`; no reader knows a set. Each yields `Row`s: the declared columns of one record
as text, and where in the file it is (for error messages).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from mlsg.config.schema import Files
from mlsg.data.readers.delimited import read_delimited, read_parallel
from mlsg.data.readers.records import read_json_array, read_json_lines
from mlsg.data.readers.tables import read_arrow, read_parquet
from mlsg.data.readers.text import Row, text_lines
from mlsg.data.readers.xml import read_xml

__all__ = ["Row", "read_rows", "read_texts"]

_READERS: Mapping[str, Callable[[Sequence[Path], Files], Iterator[Row]]] = {
    "delimited": read_delimited,
    "parallel": read_parallel,
    "json": read_json_array,
    "jsonl": read_json_lines,
    "xml": read_xml,
    "parquet": read_parquet,
    "arrow": read_arrow,
}


def read_rows(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The records of `files`, found at `paths` (one for each of `files.paths`), as a stream.

    Raises DataError, naming file, line and column, for whatever is not as declared.
    """
    return _READERS[files.reader](paths, files)


def read_texts(paths: Sequence[Path], files: Files) -> Iterator[str]:
    """The cells of the declared columns, record by record, as a stream. Raises as `read_rows` does."""
    if files.reader == "lines":  # most text by far: no row is made of each line
        return filter(str.strip, text_lines(paths[0], files.encoding))
    return (cell for row in read_rows(paths, files) for cell in row.cells)
