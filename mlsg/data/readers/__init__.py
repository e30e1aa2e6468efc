"""Readers of sentence and pair files. Which one, and how, is said by `Files` in a TOML; no reader knows a set.

Each yields `Row`s: the declared columns of one record as text, and where in the file it stands (for error messages).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from mlsg.config.schema import Files
from mlsg.data.readers.delimited import read_delimited
from mlsg.data.readers.json_rows import read_json_array, read_json_lines
from mlsg.data.readers.parallel import read_parallel
from mlsg.data.readers.row import Row
from mlsg.data.readers.text import read_lines
from mlsg.data.readers.xml_rows import read_xml

__all__ = ["Row", "read_rows"]

_READERS: Mapping[str, Callable[[Sequence[Path], Files], Iterator[Row]]] = {
    "delimited": read_delimited,
    "parallel": read_parallel,
    "json": read_json_array,
    "jsonl": read_json_lines,
    "xml": read_xml,
    "lines": read_lines,
}


def read_rows(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """The records of `files`, found at `paths` (one for each of `files.paths`), as a stream.

    Raises DataError, naming file, line and column, for whatever is not as declared.
    """
    return _READERS[files.reader](paths, files)
