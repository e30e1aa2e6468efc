"""Bytes of a file, plain or packed (.gz, .bz2, .xz, .zst), whole or refused.

A packed file may be several streams, one after the other, and .xz streams may have zeros between them (its format,
section 2.2). Python's own readers take whatever follows the first stream and is not another for the end of the file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mlsg.config.schema import PACKED
from mlsg.errors import DataError

BLOCK = 1 << 17  # bytes read at once
BROKEN = (lzma.LZMAError, EOFError, zlib.error, OSError)  # what a damaged file raises while it is read
_LZMA_MEMORY = 1 << 31  # bytes; .xz files of the largest preset need 65 MiB


def byte_blocks(path: Path, size: int = BLOCK) -> Iterator[bytes]:
    """The unpacked bytes, at most `size` at a time. Raises DataError when the file cannot be opened, one of BROKEN."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise cannot_open(path, error) from None
    suffix = path.suffix.lower()
    with file:
        if suffix in PACKED and not file.peek(1):
            raise EOFError("it is empty")
        match suffix:
            case ".gz":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield from iter(lambda: unpacked.read(size), b"")
            case ".bz2":
                yield from _streams(file, bz2.BZ2Decompressor, size, padded=False)
            case ".xz":
                yield from _streams(file, lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY), size, padded=True)
            case ".zst":
                # pyarrow, not the zstandard package, which takes a file that was cut off for one that ends there.
                import pyarrow

                with pyarrow.input_stream(file, compression="zstd") as stream:
                    yield from iter(lambda: stream.read(size), b"")
            case _:
                yield from iter(lambda: file.read(size), b"")


@contextmanager
def unpacked_file(path: Path) -> Iterator[Path]:
    """The file itself, or an unpacked copy for readers that go to and fro in it. Raises as `byte_blocks` does."""
    if path.suffix.lower() not in PACKED:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="mlsg-") as copy:
        copy.writelines(byte_blocks(path))
        copy.flush()
        yield Path(copy.name)


def cannot_open(path: Path, error: OSError) -> DataError:
    """The error for a file that cannot be opened."""
    return DataError(f"{path} cannot be opened: {error.strerror or error}", "check the path and its permissions")


def _streams(file: IO[bytes], new: Callable[[], Any], size: int, *, padded: bool) -> Iterator[bytes]:
    data = file.read(size)
    while data:
        stream = new()
        while not stream.eof:
            if unpacked := stream.decompress(data, size):
                yield unpacked
            data = b""
            if stream.needs_input and not stream.eof:
                data = file.read(size)
                if not data:
                    raise EOFError("it was cut off")
        data = stream.unused_data or file.read(size)
        if padded:
            data = _after_zeros(data, file)


def _after_zeros(data: bytes, file: IO[bytes]) -> bytes:
    """What follows the zeros, which must be a multiple of four."""
    zeros, rest = 0, b""
    while data and not rest:
        rest = data.lstrip(b"\0")
        zeros += len(data) - len(rest)
        data = rest or file.read(BLOCK)
    if zeros % 4:
        raise lzma.LZMAError("padding that is not a multiple of four bytes")
    return rest
