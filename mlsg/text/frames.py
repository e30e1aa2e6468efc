"""How a process and its workers speak over pipes: frames of byte strings, and nothing that is run when it is read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO

_NUMBER = struct.Struct("<Q")


def write_frame(stream: IO[bytes], parts: Sequence[bytes]) -> None:
    """Write a frame: the number of parts, their lengths, the parts. Raises OSError when no one reads any more."""
    stream.write(b"".join(_NUMBER.pack(number) for number in (len(parts), *map(len, parts))))
    for part in parts:
        stream.write(part)
    stream.flush()


def read_frame(stream: IO[bytes]) -> list[bytes] | None:
    """Read a frame; None where the stream ends, within a frame too: whoever wrote it is gone."""
    count = _read_number(stream)
    if count is None:
        return None
    lengths = [_read_number(stream) for _ in range(count)]
    parts = []
    for length in lengths:
        part = b"" if length is None else stream.read(length)
        if length is None or len(part) < length:
            return None
        parts.append(part)
    return parts


def _read_number(stream: IO[bytes]) -> int | None:
    data = stream.read(_NUMBER.size)
    return _NUMBER.unpack(data)[0] if len(data) == _NUMBER.size else None
