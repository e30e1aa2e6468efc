"""Each reader on small written files: what it yields, and what it says of a file that is not as declared."""

from __future__ import annotations

import gzip
import io
import json
import lzma
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from mlsg.data.readers import text
from mlsg.errors import DataError, SettingError
from tests.data.written import read, rows_of
from tests.fuzzing import tried

EXPECTED = [("A cat sleeps.", "Kedi uyuyor.", 4.5), ("|", "空の文。", 0.0), ("“Café” 🙂", "naïve", 2.0)]
TSV = "sentence1\tsentence2\tscore\n" + "".join(f"{a}\t{b}\t{s}\n" for a, b, s in EXPECTED)
_ZST = pyarrow.compress(TSV.encode(), codec="zstd", asbytes=True)


def _parquet(columns: dict[str, object]) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream, row_group_size=2)
    return stream.getvalue()


_FIRST, _SECOND, _SCORES = ([row[index] for row in EXPECTED] for index in range(3))
_PARQUET = _parquet({"score": _SCORES, "sentence1": pyarrow.array(_FIRST).dictionary_encode(), "sentence2": _SECOND})
_NESTED = _parquet({"pair": [{"a": a, "b": b} for a, b, _ in EXPECTED], "gold": _SCORES, "lang": ["xx"] * 3})


@pytest.mark.parametrize(
    ("table", "files"),
    [
        ('files = "p.tsv"', {"p.tsv": TSV}),
        ('files = "p.tsv"', {"p.tsv": TSV.replace("\n", "\r\n")}),
        ('files = "p.tsv"', {"p.tsv": "\ufeff" + TSV.removesuffix("\n")}),
        ('files = "p.tsv"', {"p.tsv.xz": lzma.compress(TSV.encode())}),
        ('files = "p.tsv.gz"', {"p.tsv.gz": gzip.compress(TSV.encode())}),
        ('files = "p.tsv"', {"p.tsv.zst": _ZST}),
        ('files = "p.tsv.zst"', {"p.tsv.zst": _ZST}),
        ('files = "p.tsv.zst"', {"p.tsv": TSV}),
        ('files = "p.tsv.xz"', {"p.tsv": TSV}),
        ('files = "p.txt"\ncolumns = [0, 1, 2]', {"p.txt": TSV.partition("\n")[2]}),
        (
            'files = "p.csv"',
            {"p.csv": "score,sentence2,sentence1\n" + "".join(f'{s},"{b}","{a}"\n' for a, b, s in EXPECTED)},
        ),
        ('files = "p.tsv"\nencoding = "utf-8"\ndelimiter = ";"', {"p.tsv": TSV.replace("\t", ";")}),
        (
            'files = "p.json"',
            {"p.json": json.dumps([{"sentence1": a, "sentence2": b, "score": s} for a, b, s in EXPECTED], indent=1)},
        ),
        (
            'files = "p.jsonl"\ncolumns = ["pair.a", "pair.b", "gold"]',
            {"p.jsonl": "".join(json.dumps({"pair": {"a": a, "b": b}, "gold": str(s)}) + "\n" for a, b, s in EXPECTED)},
        ),
        ('files = "p.parquet"', {"p.parquet": _PARQUET}),
        ('files = "p.parquet"\ncolumns = ["pair.a", "pair.b", "gold"]\nwhere.lang = "xx"', {"p.parquet": _NESTED}),
        (
            'files = "p.xml"\ncolumns = ["t", "h", "@similarity"]',
            {
                "p.xml": "<?xml version='1.0' encoding='utf-8'?><all>"
                + "".join(f'<pair similarity="{s}"><t>{a}</t><h>{b}</h></pair>' for a, b, s in EXPECTED)
                + "</all>"
            },
        ),
        (
            'files = ["in.txt", "gold.txt"]\nreader = "parallel"',
            {
                "in.txt": "".join(f"{a}\t{b}\n" for a, b, _ in EXPECTED),
                "gold.txt": "".join(f"{s}\n" for *_, s in EXPECTED),
            },
        ),
        (
            'files = ["a.txt", "b.txt", "gold.txt"]\nreader = "parallel"',
            {
                "a.txt": "".join(f"{a}\n" for a, *_ in EXPECTED),
                "b.txt": "\n".join(b for _, b, _ in EXPECTED),
                "gold.txt": "".join(f"{s}\r\n" for *_, s in EXPECTED),
            },
        ),
    ],
)
def test_every_format_gives_the_same_pairs(tmp_path: Path, table: str, files: dict[str, str | bytes]) -> None:
    assert rows_of(read(tmp_path, table, files)) == EXPECTED


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    odd = "one\u2028two\u0085three\x0bfour\rfive\x1csix"
    pairs = read(tmp_path, 'files = "p.tsv"\ncolumns = [0, 1, 2]', {"p.tsv": f"{odd}\tplain\t1\n"})
    assert rows_of(pairs) == [(odd, "plain", 1.0)]


_text = st.text(st.characters(exclude_characters="\t\n\r\0\ufeff", exclude_categories=["Cs"]), max_size=30).filter(
    lambda text: any(map(str.isalnum, text))
)


@tried(40)
@given(rows=st.lists(st.tuples(_text, _text, st.floats(0, 5)), min_size=1, max_size=8))
def test_what_is_written_unquoted_is_read_back(tmp_path: Path, rows: list[tuple[str, str, float]]) -> None:
    lines = "".join(f"{a}\t{b}\t{score!r}\n" for a, b, score in rows)
    table = 'files = "p.tsv"\ncolumns = [0, 1, 2]\nquoted = false'
    assert rows_of(read(tmp_path, table, {"p.tsv": lines})) == rows


def test_where_keeps_the_rows_that_have_the_value(tmp_path: Path) -> None:
    lines = "xx\ta\tb\t1\nyy\tc\td\t2\nxx\te\tf\t3\n"
    named = 'files = "p.tsv"\nwhere.lang = "xx"'
    with_header = read(tmp_path, named, {"p.tsv": "lang\tsentence1\tsentence2\tscore\n" + lines})
    numbered = read(tmp_path, 'files = "p.tsv"\ncolumns = [1, 2, 3]\nwhere.0 = "xx"', {"p.tsv": lines})
    assert rows_of(with_header) == rows_of(numbered) == [("a", "b", 1.0), ("e", "f", 3.0)]


def test_where_works_on_json_and_xml(tmp_path: Path) -> None:
    records = [{"lang": "xx", "sentence1": "a", "sentence2": "b", "score": 1}, {"lang": "yy", "sentence1": "c"}]
    as_json = read(tmp_path, 'files = "p.json"\nwhere.lang = "xx"', {"p.json": json.dumps(records)})
    xml = '<r><row lang="xx" s="1"><a>a</a><b>b</b></row><row lang="yy"/></r>'
    table = 'files = "p.xml"\nelement = "row"\ncolumns = ["a", "b", "@s"]\nwhere."@lang" = "xx"'
    assert rows_of(as_json) == rows_of(read(tmp_path, table, {"p.xml": xml})) == [("a", "b", 1.0)]


BAD = [
    (
        "wrong column",
        'files = "p.tsv"\ncolumns = ["sentence1", "sentense2", "score"]',
        {"p.tsv": TSV},
        ['"sentense2"', "line 1", "sentence2"],
    ),
    (
        "column twice",
        'files = "p.tsv"',
        {"p.tsv": "sentence1\tsentence1\tsentence2\tscore\n"},
        ["more than one", "sentence1"],
    ),
    ("no number", 'files = "p.tsv"', {"p.tsv": TSV + "a\tb\tfour\n"}, ["line 5", '"four"']),
    ("not a number", 'files = "p.tsv"', {"p.tsv": TSV + "a\tb\tnan\n"}, ["line 5", '"nan"']),
    ("infinite", 'files = "p.tsv"', {"p.tsv": TSV + "a\tb\t1e999\n"}, ["line 5", "1e999"]),
    ("off the scale", 'files = "p.tsv"\nscore_range = [0, 4]', {"p.tsv": TSV}, ["line 2", "4.5", "0 to 4"]),
    ("short row", 'files = "p.tsv"', {"p.tsv": TSV + "a\tb\n"}, ["line 5", "2 columns"]),
    ("blank score", 'files = "p.tsv"', {"p.tsv": TSV + "a\tb\t\n"}, ["line 5", "blank_scores"]),
    ("empty file", 'files = "p.tsv"', {"p.tsv": ""}, ["p.tsv", "no scored pairs"]),
    ("header only", 'files = "p.tsv"', {"p.tsv": "sentence1\tsentence2\tscore\n"}, ["p.tsv", "no scored pairs"]),
    ("another count", 'files = "p.tsv"\npairs = 4', {"p.tsv": TSV}, ["3 scored pairs", "4 are declared"]),
    ("binary", 'files = "p.tsv"', {"p.tsv": b"\x89PNG\r\n\x1a\n\0\0"}, ["line 1", "UTF-8"]),
    ("UTF-16 without a BOM", 'files = "p.tsv"', {"p.tsv": TSV.encode("utf-16-le")}, ["line 1", "UTF-8", "utf-16-le"]),
    (
        "Latin-1",
        'files = "p.tsv"',
        {"p.tsv": TSV.encode() + "café\tb\t1\n".encode("latin-1")},
        ["line 5", "0xe9", "column 4"],
    ),
    ("no encoding", 'files = "p.tsv"\nencoding = "utf-9"', {"p.tsv": TSV}, ["utf-9"]),
    ("cut off", 'files = "p.tsv"', {"p.tsv.xz": lzma.compress(TSV.encode())[:-20]}, ["broken file"]),
    ("cut off zst", 'files = "p.tsv"', {"p.tsv.zst": _ZST[:-5]}, ["broken file"]),
    ("not zst", 'files = "p.tsv"', {"p.tsv.zst": TSV}, ["broken file"]),
    ("not xz", 'files = "p.tsv"', {"p.tsv.xz": TSV}, ["broken file"]),
    ("not gzip", 'files = "p.tsv"', {"p.tsv.gz": TSV}, ["broken file"]),
    (
        "open quote",
        'files = "p.csv"',
        {"p.csv": 'sentence1,sentence2,score\n"a,b,1\nc,d,2\n'},
        ["line 2", "quoted = false"],
    ),
    ("no JSON", 'files = "p.json"', {"p.json": '[{"sentence1": "a",}]'}, ["line 1", "column", "jsonl"]),
    ("JSON object", 'files = "p.json"', {"p.json": '{"sentence1": "a"}'}, ["not a JSON array"]),
    ("lines as array", 'files = "p.json"', {"p.json": '{"a": 1}\n{"a": 2}\n'}, ["line 2", "jsonl"]),
    ("array as lines", 'files = "p.jsonl"', {"p.jsonl": "[1, 2]\n"}, ["line 1", "not a JSON object"]),
    (
        "JSON column",
        'files = "p.jsonl"',
        {"p.jsonl": '{"sentence1": "a", "sentence2": "b", "scores": 1}\n'},
        ["line 1", '"score"', "scores"],
    ),
    (
        "JSON list",
        'files = "p.jsonl"',
        {"p.jsonl": '{"sentence1": ["a"], "sentence2": "b", "score": 1}\n'},
        ["line 1", "list"],
    ),
    (
        "JSON true",
        'files = "p.jsonl"',
        {"p.jsonl": '{"sentence1": "a", "sentence2": "b", "score": true}\n'},
        ["line 1", "bool"],
    ),
    ("deep JSON", 'files = "p.json"', {"p.json": "[" * 100_000}, ["line 1"]),
    ("parquet column", 'files = "p.parquet"', {"p.parquet": _NESTED}, ["p.parquet", '"sentence1"', '"pair", "gold"']),
    ("no parquet", 'files = "p.parquet"', {"p.parquet": b"PAR1"}, ["p.parquet: not a readable parquet file"]),
    ("no XML", 'files = "p.xml"\ncolumns = ["t", "h", "@s"]', {"p.xml": "<a><pair></a>"}, ["line 1", "column"]),
    (
        "XML child",
        'files = "p.xml"\ncolumns = ["t", "h", "@s"]',
        {"p.xml": '<a><pair s="1"><t>x</t></pair></a>'},
        ["pair 1", '"h"'],
    ),
    (
        "XML attribute",
        'files = "p.xml"\ncolumns = ["t", "h", "@s"]',
        {"p.xml": "<a><pair><t>x</t><h>y</h></pair></a>"},
        ["pair 1", '"s"'],
    ),
    (
        "uneven",
        'files = ["i.txt", "g.txt"]\nreader = "parallel"',
        {"i.txt": "a\tb\n" * 500, "g.txt": "1\n" * 250},
        ["500 lines", "250 lines", "scored_lines"],
    ),
    (
        "gold longer",
        'files = ["i.txt", "g.txt"]\nreader = "parallel"',
        {"i.txt": "a\tb\n", "g.txt": "1\n2\n"},
        ["1 lines", "2 lines"],
    ),
    (
        "one column",
        'files = ["i.txt", "g.txt"]\nreader = "parallel"',
        {"i.txt": "a b\n", "g.txt": "1\n"},
        ["i.txt, line 1", "1 columns"],
    ),
    (
        "three parts",
        'files = "p.csv"\ncolumns = ["Text", "Score"]\nseparator = "|"',
        {"p.csv": "Text,Score\na|b|c,1\n"},
        ["line 2", "3 parts"],
    ),
]


@pytest.mark.parametrize(("table", "files", "said"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_file_is_named_with_its_place(
    tmp_path: Path, table: str, files: dict[str, str | bytes], said: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, table, files)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.remedy
    for words in said:
        assert words in message


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('files = "p.dat"', "reader"),
        ('files = "p.parquet.7z"', "reader"),
        ('files = "p.parquet"\ncolumns = [0, 1, 2]', "have names"),
        ('files = "p.tsv"\ncolums = [0, 1, 2]', 'did you mean "columns"?'),
        ('files = "p.tsv"\nquoted = "yes"', "true or false"),
        ('files = "p.tsv"\ncolumns = ["sentence1", "score"]', "sentence 1, sentence 2, score"),
        ('files = "p.tsv"\ncolumns = [0, 1, -1]', "from the left"),
        ('files = "p.tsv"\nheader = false', "column numbers"),
        ('files = "p.json"\ncolumns = [0, 1, 2]', "have names"),
        ('files = "p.tsv"\nreader = "csv"', "known: arrow, delimited"),
        ('files = "p.tsv"\nreader = "lines"', "no columns"),
        ('files = "p.tsv"\ndelimiter = ""', "one character"),
        ('hub.path = "owner/name"\nhub.columns = ["text"]', "hub.columns has 1"),
        ('files = "p.tsv"\nreader = "parallel"', "1 parallel files"),
        ('files = "p.tsv"\nscored_lines = 3', "parallel"),
        ('files = "p.tsv"\nmade = "by people"', "made"),
        ("files = 3", "path or a list of paths"),
        ("pairs = 3", 'add files = "pairs.tsv"'),
        ('hub = "owner/name"', "hub names no path"),
        ('hub.path = "owner/name"\nhub.splits = ["test"]', 'did you mean "split"?'),
        ('members = ["other.xx"]', '"other.xx" is not declared above it'),
    ],
)
def test_a_bad_declaration_says_what_to_fix(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(tmp_path, table, {"p.tsv": TSV})
    assert said in str(caught.value)
    assert "xx.toml" in str(caught.value)


def test_a_packed_xml_file_that_was_cut_off_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    rows = "".join(f'<pair s="{number % 5}"><t>{number * 7919}</t><h>b</h></pair>' for number in range(9000))
    packed = pyarrow.compress(f"<all>{rows}</all>".encode(), codec="zstd", asbytes=True)
    table = 'files = "p.xml.zst"\ncolumns = ["t", "h", "@s"]'
    assert len(rows_of(read(tmp_path, table, {"p.xml.zst": packed}))) == 9000
    with pytest.raises(DataError, match=r"after pair \d+: broken file"):
        read(tmp_path, table, {"p.xml.zst": packed[: len(packed) // 2]})


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [1, 7, 8, 64])
def test_where_blocks_end_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, end: str) -> None:
    lines = ["\ufeffone", "", "zwei ä", "三 猫猫猫", "x" * 40, "", "last"]
    path = tmp_path / "a.txt"
    monkeypatch.setattr(text, "_BLOCK", size)
    for final in ("", end):
        path.write_bytes((end.join(lines) + final).encode())
        assert list(text.text_lines(path)) == ["one", *lines[1:]]
        assert list(text.raw_lines(path)) == [line.rstrip("\n") + "\n" for line in _kept_ends(path)]
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\nafter")
    read_so_far: list[str] = []
    with pytest.raises(DataError, match="line 8, column 1"):
        read_so_far.extend(text.text_lines(path))
    assert len(read_so_far) == 7


def _kept_ends(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        return list(file)


def test_a_line_that_is_too_long_is_refused_whatever_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    monkeypatch.setattr(text, "_BLOCK", 8)
    monkeypatch.setattr(text, "_LONGEST_LINE", 20)
    for long, fits in (("x" * 20, True), ("x" * 21, False), ("x" * 60, False)):
        path.write_text(f"short\n{long}\nafter\n")
        if fits:
            assert list(text.text_lines(path)) == ["short", long, "after"]
        else:
            with pytest.raises(DataError, match="line 2: longer than"):
                list(text.text_lines(path))
