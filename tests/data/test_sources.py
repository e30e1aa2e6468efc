"""The user's own files: every kind, every packing, every fault with its place."""

from __future__ import annotations

import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from mlsg.data.sources import fingerprint_sources, source_file, stream_sources
from mlsg.errors import DataError

_TEXTS = [
    "A sentence, with a comma.",
    'One with "quotes".',
    "日本語の文。",
    "עברית",
    "e\u0301te\u0301 😀",
    "",
    "  spaced  ",
]
_PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    ".GZ": gzip.compress,
}


def _csv(texts: list[str]) -> str:
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    return "id,text\r\n" + "".join(f"{number},{cell}\r\n" for number, cell in enumerate(quoted))


_WRITE: dict[str, Callable[[list[str]], str]] = {
    "txt": lambda texts: "".join(f"{text}\n" for text in texts),
    "json": lambda texts: json.dumps([{"id": 1, "text": text} for text in texts]),
    "jsonl": lambda texts: "".join(json.dumps({"id": 1, "text": text}) + "\n" for text in texts),
    "csv": _csv,
    "tsv": lambda texts: "text\tid\n" + "".join(f"{text}\t7\n" for text in texts),
}


def _file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _fault(folder: Path, name: str, content: str | bytes, column: str = "text") -> DataError:
    with pytest.raises(DataError) as caught:
        list(stream_sources([_file(folder, name, content)], column))
    assert caught.value.exit_code == 3
    assert name in caught.value.problem
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("packed", _PACK)
@pytest.mark.parametrize("kind", _WRITE)
def test_every_kind_gives_back_what_was_written(tmp_path: Path, kind: str, packed: str) -> None:
    data = _PACK[packed](_WRITE[kind](_TEXTS).encode())
    path = _file(tmp_path, f"mine.{kind}{packed}", data)
    expected = [text for text in _TEXTS if text.strip()] if kind == "txt" else _TEXTS
    assert list(stream_sources([path])) == expected


def test_parquet_gives_back_what_was_written(tmp_path: Path) -> None:
    table = pa.table({"id": range(len(_TEXTS) + 1), "text": [*_TEXTS, None]})
    parquet.write_table(table, tmp_path / "mine.parquet", row_group_size=2)
    assert list(stream_sources([tmp_path / "mine.parquet"])) == [*_TEXTS, ""]
    parquet.write_table(
        table.cast(pa.schema([("id", pa.int64()), ("text", pa.large_string())])), tmp_path / "b.parquet"
    )
    assert list(stream_sources([tmp_path / "b.parquet"])) == [*_TEXTS, ""]


def test_parquet_texts_may_be_a_dictionary(tmp_path: Path) -> None:
    texts = pa.chunked_array([pa.array(["a", "b", "a"]).dictionary_encode()])
    parquet.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    assert list(stream_sources([tmp_path / "a.parquet"])) == ["a", "b", "a"]


def test_json_is_one_array_of_objects_and_a_column_may_be_nested(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.json", '[{"body": {"text": "x"}}, {"body": {"text": null}}]')
    assert list(stream_sources([path], "body.text")) == ["x", ""]
    path = _file(tmp_path, "b.json", '{"text": "x"}')
    with pytest.raises(DataError, match=r"not a JSON array.*\.jsonl"):
        list(stream_sources([path]))


def test_files_follow_one_another(tmp_path: Path) -> None:
    paths = [_file(tmp_path, "b.txt", "one\ntwo"), _file(tmp_path, "a.jsonl", '{"text": "three"}')]
    assert list(stream_sources(paths)) == ["one", "two", "three"]


def test_only_lf_and_crlf_end_a_line_and_a_bom_is_dropped(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.txt", "\ufeffone\r\n\n \t\nt\u2028w\x0bo\x85\nthree\ufeff")
    assert list(stream_sources([path])) == ["one", "t\u2028w\x0bo\x85", "three\ufeff"]
    path = _file(tmp_path, "a.csv", "\ufefftext\nx\n")
    assert list(stream_sources([path])) == ["x"]


def test_quotes_are_ordinary_in_tsv_and_line_breaks_are_kept_in_csv(tmp_path: Path) -> None:
    assert list(stream_sources([_file(tmp_path, "a.tsv", 'text\n"open\nnot"\n')])) == ['"open', 'not"']
    assert list(stream_sources([_file(tmp_path, "a.csv", 'text,n\n"two\nlines",1\n\nx,2\n')])) == ["two\nlines", "x"]


def test_another_column(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", "text,body\na,b\n")
    assert list(stream_sources([path], "body")) == ["b"]


def test_empty_files_hold_nothing(tmp_path: Path) -> None:
    for kind in _WRITE:
        assert list(stream_sources([_file(tmp_path, f"a.{kind}", "")])) == []


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.csv", "id,sentence\n1,x\n", "line 1"),
        ("a.tsv", "\nid\tsentence\n1\tx\n", "line 2"),
        ("a.jsonl", '{"text": "x"}\n\n{"id": 1, "sentence": "x"}\n', "line 3"),
    ],
)
def test_a_wrong_column_lists_those_there(tmp_path: Path, name: str, content: str, place: str) -> None:
    fault = _fault(tmp_path, name, content)
    assert place in fault.problem
    assert '"text"' in fault.problem
    assert '"id", "sentence"' in fault.remedy


def test_a_wrong_parquet_column_lists_those_there(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": [1], "sentence": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r'no column "text".*"id", "sentence"'):
        list(stream_sources([tmp_path / "a.parquet"]))
    with pytest.raises(DataError, match='"id" holds int64'):
        list(stream_sources([tmp_path / "a.parquet"], "id"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"good\n\xff\xfe\n", "line 2, column 1: byte 0xff is not UTF-8"),
        ("a.txt", "Latin é\n".encode("latin-1"), "line 1, column 7: byte 0xe9 is not UTF-8"),
        ("a.txt", "x\n".encode("utf-16-le"), "line 1: NUL byte"),
        ("a.txt", b"good\n\x7fELF\0\0", "line 2: NUL byte"),
        ("a.csv", "text,n\nHello, world,1\n", "line 2: 3 columns where the header has 2"),
        ("a.tsv", "text\tn\n\nx\n", "line 3: 1 columns where the header has 2"),
        ("a.csv", 'text\n"never closed\nx\n', "line 2"),
        ("a.csv", 'text\nfine\n"a"b\n', "line 3"),
        ("a.csv", "text,text\nx,y\n", 'more than one column "text"'),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', "line 2, column 10: not JSON"),
        ("a.jsonl", '"x"\n', "line 1: not a JSON object"),
        ("a.jsonl", '{"text": 3.5}\n', 'line 1: "text" holds 3.5 (float)'),
        ("a.jsonl", '{"text": ["x"]}\n', 'line 1: "text" holds ["x"] (list)'),
        ("a.jsonl", "[" * 100_000, "line 1: not JSON (nested too deep)"),
        ("a.txt.gz", b"no gzip", "after line 0: broken file"),
        ("a.txt.xz", b"no xz", "after line 0: broken file"),
        ("a.txt.zst", b"no zstandard", "after line 0: broken file"),
        ("a.parquet", b"PAR1 no parquet", "not a readable parquet file"),
        ("a.doc", "x", "an unknown kind"),
        ("a", "x", "an unknown kind"),
        ("a.gz", b"x", "an unknown kind"),
        ("a.parquet.gz", b"x", "not a readable parquet file"),
        ("a.parquet.7z", b"x", "an unknown kind"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    assert said in _fault(tmp_path, name, content).problem


@pytest.mark.parametrize("packed", [".gz", ".xz", ".zst"])
def test_a_file_that_was_cut_off_is_not_taken_for_a_whole_one(tmp_path: Path, packed: str) -> None:
    whole = _PACK[packed]("".join(f"line {number * 7919 % 100_003}\n" for number in range(20_000)).encode())
    assert "broken file" in _fault(tmp_path, f"a.txt{packed}", whole[: len(whole) // 2]).problem


def test_a_folder_names_its_files_and_a_missing_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"is a folder.*a\.txt, b\.txt"):
        source_file(tmp_path, "text")
    with pytest.raises(DataError, match="it holds no file"):
        source_file(tmp_path / "inner", "text")
    with pytest.raises(DataError, match=r"c\.txt does not exist"):
        source_file(tmp_path / "c.txt", "text")


def test_the_last_file_is_checked_before_the_first_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.txt does not exist"):
        next(stream_sources([_file(tmp_path, "a.txt", "x\n"), tmp_path / "missing.txt"]))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(80):
            file.write(b"x" * (1 << 20))
    with pytest.raises(DataError, match="line 1: longer than 64 MiB"):
        list(stream_sources([path]))


def test_fingerprints_follow_content_kind_column_and_order(tmp_path: Path) -> None:
    a, b = _file(tmp_path, "a.txt", "x"), _file(tmp_path, "b.csv", "text\nx\n")
    (tmp_path / "elsewhere").mkdir()
    same = _file(tmp_path / "elsewhere", "other.txt", "x")
    as_tsv = _file(tmp_path, "b.tsv", "text\nx\n")
    assert fingerprint_sources([a, b], "text") == fingerprint_sources([same, b], "text")
    assert fingerprint_sources([a], "text") == fingerprint_sources([a], "body")
    prints = [[a, b], [b, a], [a, as_tsv], [a, b, b]]
    distinct = {json.dumps(fingerprint_sources(paths, "text")) for paths in prints}
    assert len(distinct | {json.dumps(fingerprint_sources([a, b], "body"))}) == 5


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl.gz", "a.parquet"])
def test_memory_stays_flat(tmp_path: Path, name: str) -> None:
    texts = [f"sentence number {number}, which is about as long as any" for number in range(60_000)]
    path = tmp_path / name
    if name == "a.parquet":
        parquet.write_table(pa.table({"text": texts}), path, row_group_size=5000)
    else:
        kind, _, packed = name.removeprefix("a.").partition(".")
        path.write_bytes(_PACK["." + packed if packed else ""](_WRITE[kind](texts).encode()))
    del texts
    tracemalloc.start()
    count = sum(1 for _ in stream_sources([path]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 2_000_000
