"""What other writers wrote, in every kind and packing, is what is read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, ipc, parquet

from mlsg.data.sources import AS_NAMED, Reading, stream_sources
from mlsg.errors import DataError
from tests.data.test_packed import PACK
from tests.fuzzing import tried

Rows = list[tuple[str, str]]


def _delimited(rows: Rows, delimiter: str, end: str) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, lineterminator=end).writerows([("a", "b"), *rows])
    return stream.getvalue().encode()


def _table(rows: Rows, kind: pa.DataType) -> pa.Table:
    return pa.table({name: pa.array([row[n] for row in rows], pa.string()).cast(kind) for n, name in enumerate("ab")})


def _parquet(rows: Rows, kind: pa.DataType) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(_table(rows, kind), stream, row_group_size=2)
    return stream.getvalue()


def _arrow(rows: Rows, kind: pa.DataType, writer: Callable[..., ipc.RecordBatchFileWriter]) -> bytes:
    stream, table = io.BytesIO(), _table(rows, kind)
    with writer(stream, table.schema) as file:
        file.write_table(table, max_chunksize=2)
    return stream.getvalue()


def _feather(rows: Rows) -> bytes:
    stream = io.BytesIO()
    feather.write_feather(_table(rows, pa.string()), stream, compression="zstd")
    return stream.getvalue()


def _xml(rows: Rows) -> bytes:
    cells = "".join(f"<row><a>{escape(a)}</a>\n<b>{escape(b)}</b></row>" for a, b in rows)
    return f"<?xml version='1.0'?><all>{cells}</all>".encode()


_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_WRITE: dict[str, tuple[str, Reading, Callable[[Rows], bytes]]] = {
    "csv": ("csv", AS_NAMED, lambda rows: _delimited(rows, ",", "\r\n")),
    "csv;": ("CSV", Reading(";"), lambda rows: _delimited(rows, ";", "\r\n")),
    "tsv": ("tsv", Reading(quoted=True), lambda rows: _delimited(rows, "\t", "\r\n")),
    "txt": ("txt", Reading("|", quoted=True), lambda rows: _delimited(rows, "|", "\r\n")),
    "utf-16": ("csv", AS_NAMED, lambda rows: _delimited(rows, ",", "\r\n").decode().encode("utf-16")),
    "json": ("json", AS_NAMED, lambda rows: json.dumps([{"a": a, "b": b} for a, b in rows]).encode()),
    "jsonl": ("JSONL", AS_NAMED, lambda rows: b"".join(json.dumps({"a": a, "b": b}).encode() + b"\n" for a, b in rows)),
    "parquet": ("parquet", AS_NAMED, lambda rows: _parquet(rows, pa.string())),
    "parquet large": ("parquet", AS_NAMED, lambda rows: _parquet(rows, pa.large_string())),
    "parquet dictionary": ("parquet", AS_NAMED, lambda rows: _parquet(rows, _DICTIONARY)),
    "arrow": ("arrow", AS_NAMED, lambda rows: _arrow(rows, pa.string(), ipc.new_file)),
    "arrow view": ("arrow", AS_NAMED, lambda rows: _arrow(rows, pa.string_view(), ipc.new_file)),
    "arrow stream": ("arrow", AS_NAMED, lambda rows: _arrow(rows, pa.large_string(), ipc.new_stream)),
    "arrow dictionary": ("arrow", AS_NAMED, lambda rows: _arrow(rows, _DICTIONARY, ipc.new_stream)),
    "feather": ("feather", AS_NAMED, _feather),
    "xml": ("xml", AS_NAMED, _xml),
}
_XML_CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
_CHARACTERS = st.one_of(
    st.sampled_from("\",;|\t\n\r '\\a\u2028\x85\ufeff"),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
)


def _read(folder: Path, kind: str, content: bytes, packed: str = "") -> Rows:
    suffix, reading, _ = _WRITE[kind]
    path = folder / f"file.{suffix}{packed}"
    path.write_bytes(content)
    prefix = "row." if suffix == "xml" else ""
    columns = [list(stream_sources([path], prefix + column, reading)) for column in "ab"]
    return list(zip(*columns, strict=True))


@tried(120)
@given(kind=st.sampled_from(list(_WRITE)), packed=st.sampled_from(["", *PACK]), data=st.data())
def test_any_table_is_read_back(tmp_path: Path, kind: str, packed: str, data: st.DataObject) -> None:
    text = st.text(_XML_CHARACTERS if kind == "xml" else _CHARACTERS, max_size=8)
    rows = data.draw(st.lists(st.tuples(text, text), min_size=1, max_size=7))
    if _WRITE[kind][0].lower() in ("csv", "tsv", "txt"):  # where a row without any text is a blank line
        rows = [row for row in rows if "".join(row).strip()]
    content = _WRITE[kind][2](rows)
    assert _read(tmp_path, kind, PACK[packed](content) if packed else content, packed) == rows


@tried(60)
@given(kind=st.sampled_from(["parquet", "arrow", "arrow stream", "arrow dictionary", "feather"]), data=st.data())
def test_any_table_of_pyarrow_that_was_cut_off_is_refused(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content = _WRITE[kind][2]([(f"text {number}", "\uffff\0") for number in range(5)])
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(DataError, match="not a readable"):
        _read(tmp_path, kind, content[:cut])


def test_an_arrow_stream_that_was_cut_off_between_two_batches_is_refused(tmp_path: Path) -> None:
    rows = [(f"text {number}", "b") for number in range(6)]
    whole = _WRITE["arrow stream"][2](rows)
    assert _read(tmp_path, "arrow stream", whole) == rows
    for content in (whole.removesuffix(b"\xff\xff\xff\xff\0\0\0\0"), whole + b"more"):
        with pytest.raises(DataError, match="mark of its end"):
            _read(tmp_path, "arrow stream", content)


@tried(100)
@given(
    kind=st.sampled_from(["parquet", "parquet dictionary", "arrow", "arrow stream", "arrow view", "feather"]),
    place=st.floats(0, 1, exclude_max=True),
    bits=st.integers(1, 255),
)
def test_any_table_of_pyarrow_with_a_changed_byte_is_read_or_refused_in_one_line(
    tmp_path: Path, kind: str, place: float, bits: int
) -> None:
    content = bytearray(_WRITE[kind][2]([(f"text {number}", "b") for number in range(5)]))
    content[int(place * len(content))] ^= bits
    try:
        _read(tmp_path, kind, bytes(content))
    except DataError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 600 + len(str(tmp_path))


def test_null_is_an_empty_text(tmp_path: Path) -> None:
    table = pa.table({"a": ["x", None], "b": pa.nulls(2)})
    parquet.write_table(table, tmp_path / "a.parquet")
    feather.write_feather(table, tmp_path / "a.feather")
    (tmp_path / "a.jsonl").write_text('{"a": "x", "b": null}\n{"a": null, "b": null}\n')
    for name in ("a.parquet", "a.feather", "a.jsonl"):
        assert list(stream_sources([tmp_path / name], "a")) == ["x", ""]
        assert list(stream_sources([tmp_path / name], "b")) == ["", ""]


def test_a_nested_column_of_every_kind(tmp_path: Path) -> None:
    records = [{"body": {"text": "x", "n": 1}}, {"body": {"text": "y", "n": 2}}]
    parquet.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    feather.write_feather(pa.Table.from_pylist(records), tmp_path / "a.arrow")
    (tmp_path / "a.json").write_text(json.dumps(records))
    (tmp_path / "a.xml").write_text("<r><d><body><text>x</text></body></d><d><body><text>y</text></body></d></r>")
    for name in ("a.parquet", "a.arrow", "a.json", "a.xml"):
        column = "d.body.text" if name == "a.xml" else "body.text"
        assert list(stream_sources([tmp_path / name], column)) == ["x", "y"], name
    assert list(stream_sources([tmp_path / "a.xml"], "text")) == ["x", "y"]
