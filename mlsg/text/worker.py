"""The process that sifts pieces of text for another one (`mlsg.text.workers`), until its input ends.

The first frame that it reads is the sieve. Its input ends when the other process closes it or is gone, however that
came about: no worker outlives the one that it works for.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import IO

from mlsg.text.filter import FilteredBatch, LineFilter
from mlsg.text.frames import read_frame, write_frame

DONE, FAULT = b"done", b"fault"


def pack_sieve(sieve: LineFilter) -> list[bytes]:
    """Return the frame that tells a worker what to do."""
    fields = {"min_chars": sieve.min_chars, "max_chars": sieve.max_chars}
    flags = {"repetitions": sieve.repetitions, "stored": sieve.stored}
    return [json.dumps({**fields, **flags}).encode(), "\n".join(sieve.forms).encode()]


def unpack_sieve(parts: Sequence[bytes]) -> LineFilter:
    """Return what was packed."""
    fields, forms = parts
    return LineFilter(forms=frozenset(forms.decode().split("\n") if forms else ()), **json.loads(fields))


def pack_sifted(sifted: FilteredBatch) -> list[bytes]:
    """Return the frame of what is left of a piece."""
    counts = {"read": sifted.read, "dropped": dict(sifted.dropped), "found": dict(sifted.found)}
    return [DONE, json.dumps(counts).encode(), b"\n".join(sifted.lines), sifted.digests]


def unpack_sifted(parts: Sequence[bytes]) -> FilteredBatch:
    """Return what was packed: no line that is left is empty, so no lines are told from an empty one."""
    _, counts, lines, digests = parts
    return FilteredBatch(lines=lines.split(b"\n") if lines else [], digests=digests, **json.loads(counts))


def serve() -> None:
    """Answer every piece on stdin with a frame on stdout."""
    # The user's interrupt is for the process that this one works for.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _answer_all(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(0)  # no one listens; an ordinary end would try to flush what is left


def _answer_all(source: IO[bytes], target: IO[bytes]) -> None:
    given = read_frame(source)
    sieve = unpack_sieve(given) if given else None
    while sieve is not None and (frame := read_frame(source)):
        try:
            answer = pack_sifted(sieve.sift(frame[0].decode("utf-8", "surrogatepass")))
        except Exception:
            answer = [FAULT, traceback.format_exc().encode()]
        write_frame(target, answer)
