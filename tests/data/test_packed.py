"""Packed files: whole, or refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlsg.data.readers.packed import BROKEN, byte_blocks
from mlsg.data.sources import stream_sources
from mlsg.errors import DataError
from tests.fuzzing import tried

Pack = Callable[[bytes], bytes]
PACK: dict[str, Pack] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pyarrow.compress(data, codec="zstd", asbytes=True),
}
_SUFFIXES = list(PACK)


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _unpacked(path: Path, size: int = 1 << 17) -> bytes:
    return b"".join(byte_blocks(path, size))


@pytest.mark.parametrize("suffix", [*_SUFFIXES, *map(str.upper, _SUFFIXES)])
@pytest.mark.parametrize("size", [1, 7, 1 << 17])
def test_streams_that_follow_one_another_are_read_to_the_end(tmp_path: Path, suffix: str, size: int) -> None:
    parts = [b"one\n" * 99, b"", b"two\n" * 30_000 if size > 7 else b"two\n", b"three"]
    packed = b"".join(map(PACK[suffix.lower()], parts))
    assert _unpacked(_file(tmp_path, f"a.txt{suffix}", packed), size) == b"".join(parts)


@pytest.mark.parametrize("zeros", [0, 4, 8, 400_000])
def test_zeros_between_and_after_xz_streams_are_padding(tmp_path: Path, zeros: int) -> None:
    first, second = lzma.compress(b"one\n"), lzma.compress(b"two\n", check=lzma.CHECK_NONE)
    padding = bytes(zeros)
    path = _file(tmp_path, "a.xz", first + padding + second + padding)
    assert _unpacked(path) == b"one\ntwo\n"
    with pytest.raises(BROKEN, match="multiple of four"):
        _unpacked(_file(tmp_path, "b.xz", first + padding + b"\0" + second))


@pytest.mark.parametrize("suffix", _SUFFIXES)
@pytest.mark.parametrize(
    "garbage", [b"x", b"\x1f", b"\xfd7z", b"BZ", b"\x28\xb5", b"plain text\n" * 9, bytes(range(1, 99))]
)
def test_what_follows_and_is_no_stream_is_refused(tmp_path: Path, suffix: str, garbage: bytes) -> None:
    path = _file(tmp_path, f"a.txt{suffix}", PACK[suffix](b"one\n" * 999) + garbage)
    with pytest.raises(DataError, match="broken file"):
        list(stream_sources([path]))


@pytest.mark.parametrize("suffix", _SUFFIXES)
@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl", "xml", "parquet", "arrow"])
def test_an_empty_packed_file_is_a_file_that_was_cut_off(tmp_path: Path, suffix: str, kind: str) -> None:
    with pytest.raises(DataError, match=r"broken file|not a readable"):
        list(stream_sources([_file(tmp_path, f"a.{kind}{suffix}", b"")]))


@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_a_later_stream_that_is_damaged_is_refused(tmp_path: Path, suffix: str) -> None:
    first, second = (PACK[suffix](b"".join(b"%d\n" % (n * k) for n in range(3000))) for k in (7919, 104_729))
    for spoilt in (second[:-1], second[: len(second) // 2], second[:3], b"\1" + second[1:]):
        with pytest.raises(DataError, match="broken file"):
            list(stream_sources([_file(tmp_path, f"a.txt{suffix}", first + spoilt)]))


_cells = st.lists(
    st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1), max_size=30
)


@tried(40)
@given(cells=_cells, suffix=st.sampled_from(_SUFFIXES), data=st.data())
def test_any_file_that_was_cut_off_is_refused(
    tmp_path: Path, cells: list[str], suffix: str, data: st.DataObject
) -> None:
    packed = PACK[suffix]("\n".join(cells).encode())
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(DataError, match="broken file"):
        list(stream_sources([_file(tmp_path, f"a.txt{suffix}", packed[:cut])]))


@tried(40)
@given(
    cells=_cells,
    suffix=st.sampled_from([".gz", ".bz2", ".xz"]),  # pyarrow writes no checksum into .zst
    place=st.floats(0, 1, exclude_max=True),
    bits=st.integers(1, 255),
)
@example(["one", "two"], ".xz", 0.99, 255)
def test_any_file_with_a_changed_byte_is_refused_or_gives_the_same(
    tmp_path: Path, cells: list[str], suffix: str, place: float, bits: int
) -> None:
    content = "\n".join(cells).encode()
    packed = bytearray(PACK[suffix](content))
    packed[int(place * len(packed))] ^= bits
    try:
        found = _unpacked(_file(tmp_path, f"a.txt{suffix}", bytes(packed)))
    except BROKEN:
        return
    assert found == content


def test_an_xz_file_that_asks_for_more_memory_than_any_writer_does_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 16}]
    packed = bytearray(lzma.compress(b"one\n", filters=filters))
    assert packed[12:16] == b"\x02\x00\x21\x01"  # block header: size, flags, LZMA2, one byte of properties
    packed[16] = 40  # 4 GiB
    packed[20:24] = __import__("zlib").crc32(bytes(packed[12:20])).to_bytes(4, "little")
    with pytest.raises(BROKEN, match=r"[Mm]emory"):
        _unpacked(_file(tmp_path, "a.xz", bytes(packed)))
