"""Which encoding a file is read in, and where its lines end."""

from __future__ import annotations

import codecs
import lzma
from encodings.aliases import aliases
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.data.readers import text
from mlsg.data.sources import Reading, stream_sources
from mlsg.errors import DataError, SettingError
from tests.data.written import read, rows_of
from tests.fuzzing import tried

_LINES = ["Ein schöner Satz.", "猫がいる。 😀", "three\u2028and\x85more", "last"]
_LATIN = ["Ein schöner Satz.", "El Niño", "café"]
_TSV = "sentence1\tsentence2\tscore\nEl Niño\tcafé\t1.5\nA\tB\t2\n"
_PAIRS = [("El Niño", "café", 1.5), ("A", "B", 2.0)]


def _read(folder: Path, content: bytes, encoding: str = "", name: str = "a.txt") -> list[str]:
    path = folder / name
    path.write_bytes(content)
    return list(stream_sources([path], "text", Reading(encoding=encoding)))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "utf-7"])
def test_a_declared_encoding_is_used(tmp_path: Path, encoding: str, end: str, final: bool) -> None:
    content = (end.join(_LINES) + (end if final else "")).encode(encoding)
    assert _read(tmp_path, content, encoding) == _LINES
    assert _read(tmp_path, lzma.compress(content), encoding.upper(), "a.txt.xz") == _LINES


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "iso8859-15", "mac-roman"])
def test_encodings_of_one_byte_a_character(tmp_path: Path, encoding: str) -> None:
    assert _read(tmp_path, "\n".join(_LATIN).encode(encoding), encoding) == _LATIN


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1 << 17])
@pytest.mark.parametrize(
    ("bom", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_bom_decides_where_nothing_is_declared_and_is_dropped_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bom: bytes, encoding: str, size: int
) -> None:
    monkeypatch.setattr(text, "_BLOCK", size)
    for end in ("\n", "\r\n", "\r"):
        content = bom + end.join(_LINES).encode(encoding)
        assert _read(tmp_path, content) == _LINES
        assert _read(tmp_path, content, encoding) == _LINES


@pytest.mark.parametrize("reading", ["", 'encoding = "utf-16"'])
def test_pairs_in_utf_16(tmp_path: Path, reading: str) -> None:
    assert rows_of(read(tmp_path, f'files = "p.tsv"\n{reading}', {"p.tsv": _TSV.encode("utf-16")})) == _PAIRS


@pytest.mark.parametrize("encoding", ["utf-16-le", "cp1252", "latin-1"])
def test_json_and_xml_in_a_declared_encoding(tmp_path: Path, encoding: str) -> None:
    table = f'encoding = "{encoding}"\n'
    array = '[{"sentence1": "El Niño", "sentence2": "café", "score": 1.5}]'.encode(encoding)
    assert rows_of(read(tmp_path, f'files = "p.json"\n{table}', {"p.json": array})) == _PAIRS[:1]
    xml = '<all><pair s="1.5"><t>El Niño</t><h>café</h></pair></all>'.encode(encoding)
    columns = 'columns = ["t", "h", "@s"]'
    assert rows_of(read(tmp_path, f'files = "p.xml"\n{columns}\n{table}', {"p.xml": xml})) == _PAIRS[:1]


def test_a_text_without_any_lf_ends_its_lines_at_cr(tmp_path: Path) -> None:
    content = _TSV.replace("\n", "\r").encode()
    table = 'files = "p.tsv"'
    assert rows_of(read(tmp_path, table, {"p.tsv": content})) == _PAIRS
    assert rows_of(read(tmp_path, table, {"p.tsv": content.removesuffix(b"\r")})) == _PAIRS
    quoted = b'sentence1,sentence2,score\r"A\rB","C, D",1\rE,F,2\r'
    assert rows_of(read(tmp_path, 'files = "p.csv"', {"p.csv": quoted})) == [("A\rB", "C, D", 1.0), ("E", "F", 2.0)]
    lines = b"".join(b'{"sentence1": "a", "sentence2": "b", "score": %d}\r' % n for n in range(3))
    assert len(rows_of(read(tmp_path, 'files = "p.jsonl"', {"p.jsonl": lines}))) == 3


def test_a_long_text_that_ends_its_lines_at_cr_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_BLOCK", 8)
    monkeypatch.setattr(text, "_LONGEST_LINE", 40)
    lines = [f"line {number}" for number in range(100)]
    assert _read(tmp_path, "\r".join(lines).encode()) == lines


def test_the_place_of_a_bad_byte_is_named_in_every_encoding(tmp_path: Path) -> None:
    for content, encoding, said in (
        (
            "one\nzwei ä".encode("utf-16-le") + b"\x00\xd8a\x00",
            "utf-16-le",
            "line 2, column 7: byte 0x00 is not UTF-16",
        ),
        (b"one\ntwo \x81", "cp1252", "line 2, column 5: byte 0x81 is not CP1252"),
        (b"one\ncaf\xc3", "", "line 2, column 4: byte 0xc3 is not UTF-8"),
        (b"one\rcaf\xc3\rx", "", "line 2, column 4: byte 0xc3 is not UTF-8"),
        ("one".encode("utf-16-le")[:-1], "utf-16-le", "line 1, column 3: byte 0x65 is not UTF-16"),
        ("one\n".encode("utf-16-be"), "utf-16", "order of its bytes is not known"),
    ):
        with pytest.raises(DataError) as caught:
            _read(tmp_path, content, encoding)
        assert said in caught.value.problem, (encoding, caught.value.problem)


@pytest.mark.parametrize(
    "encoding", ["rot13", "hex", "undefined", "zlib", "base64", "uu", "idna", "utf-9", "\0", "x" * 4000]
)
def test_what_is_no_encoding_of_texts_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(SettingError, match="--encoding") as caught:
        Reading(encoding=encoding)
    assert len(str(caught.value)) < 300
    if encoding != "\0":
        with pytest.raises(DataError, match="unknown encoding") as refused:
            read(tmp_path, f'files = "p.tsv"\nencoding = "{encoding}"', {"p.tsv": _TSV})
        assert len(str(refused.value)) < 300 + len(str(tmp_path))


@tried(150)
@given(encoding=st.sampled_from(sorted({*aliases, *aliases.values()})), content=st.binary(max_size=60))
def test_any_bytes_in_any_encoding_that_python_has_are_read_or_refused(
    tmp_path: Path, encoding: str, content: bytes
) -> None:
    try:
        found = _read(tmp_path, content, encoding)
    except (DataError, SettingError):
        return
    decoded = content.decode(encoding)
    one, other = (text.replace("\n", "").replace("\r", "") for text in ("".join(found), decoded))
    assert one.strip("\ufeff \t") in other
