"""Lines of text out of a file, plain or .xz or .gz, without holding the file in memory.

Lines end at LF only: U+2028, U+0085 and a lone CR are ordinary characters in sentences, and `str.splitlines` would
break pairs there. A BOM at the start is dropped. What is no UTF-8, holds NUL bytes or is damaged raises DataError.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from mlsg.data.readers.row import Row
from mlsg.declarations import Files
from mlsg.errors import DataError

BROKEN = (lzma.LZMAError, EOFError, zlib.error, OSError)
"""What a damaged file raises while it is read."""

_BOM = "\ufeff"


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked when its name ends in .xz or .gz. Raises DataError when it cannot be opened."""
    try:
        if path.suffix == ".xz":
            return lzma.open(path, "rb")
        if path.suffix == ".gz":
            return cast("IO[bytes]", gzip.open(path, "rb"))
        return path.open("rb")
    except OSError as error:
        problem = f"{path} cannot be opened: {error.strerror or error}"
        raise DataError(problem, "check the path and its permissions") from None


def raw_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Lines with their endings, decoded one by one, so that a bad byte is named with its line."""
    number = 0
    with open_bytes(path) as file:
        try:
            for number, data in enumerate(file, start=1):
                yield _decode(data, encoding, path, number)
        except BROKEN as error:
            raise DataError(f"{path}, after line {number}: broken file ({error})", "fetch the file again") from None


def text_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Lines without their endings (LF or CRLF)."""
    for line in raw_lines(path, encoding):
        yield line.removesuffix("\n").removesuffix("\r")


def read_lines(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """One sentence or document a line; blank lines are left out."""
    for number, line in enumerate(text_lines(paths[0], files.encoding), start=1):
        if line.strip():
            yield Row(paths[0], f"line {number}", (line,))


def _decode(data: bytes, encoding: str, path: Path, number: int) -> str:
    if b"\0" in data:
        raise DataError(f"{path}, line {number}: NUL byte, a binary file or UTF-16", "give a text file in UTF-8")
    try:
        line = data.decode(encoding)
    except UnicodeDecodeError as error:
        problem = f"{path}, line {number}: byte 0x{data[error.start]:02x} at column {error.start + 1} is no {encoding}"
        raise DataError(problem, "give a text file in UTF-8, or declare its encoding") from None
    except LookupError:
        raise DataError(f'{path}: unknown encoding "{encoding}"', "declare one that Python knows") from None
    return line.removeprefix(_BOM) if number == 1 else line
