"""Pairs that would be read with exit 0 and a wrong number: quotes that stay, empty sentences, scores that lie."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlsg.data.pairs import locate_set, read_pairs
from mlsg.data.sources import Reading, stream_sources
from mlsg.errors import DataError, SettingError
from tests.data.written import PretendedHub, catalog_of, read, rows_of

_ROWS = [("A man plays.", "He plays.", 4.5), ("A dog.", 'A "big" cat.', 1.0), ("It rains.", "Sun.", 0.5)]
_NUMBERED = 'files = "p.tsv"\ncolumns = [0, 1, 2]\nheader = true'


def _r_table(rows: list[tuple[str, str, float]]) -> str:
    """As R's write.table and csv.QUOTE_NONNUMERIC write: every text in quotes, the names too."""
    stream = io.StringIO(newline="")
    table = csv.writer(stream, delimiter="\t", quoting=csv.QUOTE_NONNUMERIC)
    table.writerows([("s1", "s2", "sc"), *rows])
    return stream.getvalue()


def _fault(folder: Path, table: str, files: dict[str, str | bytes]) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, table, files)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_table_in_quotes_is_refused_until_someone_says_what_they_are(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"p.tsv": _r_table(_ROWS)}
    said = _fault(tmp_path, _NUMBERED, files)
    assert "every cell of column" in said
    assert "quoted = true" in said
    assert "quoted = false" in said
    assert rows_of(read(tmp_path, f"{_NUMBERED}\nquoted = true", files)) == _ROWS
    kept = read(tmp_path, f"{_NUMBERED}\nquoted = false", files)
    assert kept.first == [f'"{first}"' for first, *_ in _ROWS]


def test_a_name_in_quotes_is_no_missing_column(tmp_path: Path) -> None:
    table = 'files = "p.tsv"\ncolumns = ["s1", "s2", "sc"]'
    files: dict[str, str | bytes] = {"p.tsv": _r_table(_ROWS)}
    assert "declare quoted = true" in _fault(tmp_path, table, files)
    assert rows_of(read(tmp_path, f"{table}\nquoted = true", files)) == _ROWS


def test_a_score_in_quotes_says_so(tmp_path: Path) -> None:
    lines = 'a\tb\t"4.8"\nc\td\t"3"\n'
    assert "declare quoted = true" in _fault(tmp_path, 'files = "p.tsv"\ncolumns = [0, 1, 2]', {"p.tsv": lines})


def test_two_columns_beside_a_file_of_scores_in_quotes(tmp_path: Path) -> None:
    table = 'files = ["i.txt", "g.txt"]\nreader = "parallel"'
    files: dict[str, str | bytes] = {"i.txt": '"a"\t"b"\n"c"\td\n', "g.txt": "1\n2\n"}
    assert "quoted = true" in _fault(tmp_path, table, files)
    assert read(tmp_path, f"{table}\nquoted = false", files).first == ['"a"', '"c"']


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.sampled_from(['"a"', 'a"', '"a', '""', '"', "a", '"a" b', " ", '"b c"']), min_size=2, max_size=5)
)
def test_only_a_column_that_is_all_in_quotes_is_doubtful(tmp_path: Path, cells: list[str]) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("n\ttext\n" + "".join(f"1\t{cell}\n" for cell in cells))
    filled = [cell.strip() for cell in cells if cell.strip()]
    doubtful = len(filled) > 1 and all(cell[0] == cell[-1] == '"' and len(cell) > 1 for cell in filled)
    if doubtful:
        with pytest.raises(DataError, match="--quoted, or --no-quoted"):
            list(stream_sources([path]))
    else:
        assert list(stream_sources([path])) == cells
    assert list(stream_sources([path], "text", Reading(quoted=False))) == cells


def test_the_users_own_table_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(_r_table(_ROWS))
    with pytest.raises(DataError, match="give --quoted"):
        list(stream_sources([path], "s1"))
    assert list(stream_sources([path], "s2", Reading(quoted=True))) == [second for _, second, _ in _ROWS]


@pytest.mark.parametrize("empty", ["", " ", "\u00a0", "\u200b", "\u200e\u2060", "\ufeff\ufeff"])
@pytest.mark.parametrize("column", [1, 2])
def test_an_empty_sentence_is_refused_by_line_or_left_out_where_the_set_says_so(
    tmp_path: Path, empty: str, column: int
) -> None:
    row = ["The cat is here.", "x", "2.5"]
    row[column - 1] = empty
    lines = "a\tb\t1\n" + "\t".join(row) + "\nc\td\t2\n"
    table = 'files = "p.tsv"\ncolumns = [0, 1, 2]'
    said = _fault(tmp_path, table, {"p.tsv": lines})
    assert f"line 2: sentence {column} is empty" in said
    assert "blank_sentences = true" in said
    pairs = read(tmp_path, f"{table}\nblank_sentences = true\npairs = 2", {"p.tsv": lines})
    assert rows_of(pairs) == [("a", "b", 1.0), ("c", "d", 2.0)]
    assert pairs.dropped == 1


def test_a_null_sentence_of_a_file_or_of_the_hub(tmp_path: Path) -> None:
    rows = [{"sentence1": None, "sentence2": "b", "score": 1}, {"sentence1": "a", "sentence2": "b", "score": 2}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    assert "line 1: sentence 1 is empty" in _fault(tmp_path, 'files = "p.jsonl"', {"p.jsonl": lines})
    hub = PretendedHub({"owner/name": rows})
    with pytest.raises(DataError, match="row 1: sentence 1 is empty"):
        read(tmp_path, 'hub.path = "owner/name"', {}, hub)
    assert read(tmp_path, 'hub.path = "owner/name"\nblank_sentences = true', {}, hub).dropped == 1


def test_a_sentence_that_begins_with_something_invisible_is_not_empty(tmp_path: Path) -> None:
    lines = "\u200bA\tb\t1\n\u200d\t\u0301\t2\n"
    table = 'files = "p.tsv"\ncolumns = [0, 1, 2]\nblank_sentences = true'
    assert read(tmp_path, table, {"p.tsv": lines}).first == ["\u200bA"]


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    line = '{"sentence1": "half \\ud83d", "sentence2": "b", "score": 1}\n'
    table = 'files = "p.jsonl"\nblank_sentences = true'
    assert "line 1: sentence 1 holds half a character" in _fault(tmp_path, table, {"p.jsonl": line})


@pytest.mark.parametrize(
    "score", ["1_3", "1_0.5", "_1", "0x3", "3,5", "1,234.5", "٣_٤", "", "+-3", "NaN", "Infinity", "9" * 5000]
)
def test_a_score_that_is_no_plain_number_is_refused(tmp_path: Path, score: str) -> None:
    said = _fault(tmp_path, 'files = "p.tsv"\ncolumns = [0, 1, 2]', {"p.tsv": f"a\tb\t{score}\n"})
    assert "is not a number" in said
    assert len(said) < 400 + len(str(tmp_path))
    assert ('decimal = ","' in said) == (score == "3,5")


def test_a_decimal_comma_is_declared(tmp_path: Path) -> None:
    table = 'files = "p.tsv"\ncolumns = [0, 1, 2]\ndecimal = ","'
    scores = {"3,5": 3.5, "-0,25": -0.25, "4": 4.0, "1,5e1": 15.0}
    lines = "".join(f"a\tb\t{score}\n" for score in scores)
    assert read(tmp_path, table, {"p.tsv": lines}).scores == list(scores.values())
    for score in ("3.5", "1.234,5", "1,2,3", "1_3"):
        assert f'"{score}" is not a number' in _fault(tmp_path, table, {"p.tsv": f"a\tb\t{score}\n"})
    with pytest.raises(SettingError, match="decimal"):
        read(tmp_path, 'files = "p.tsv"\ndecimal = ";"', {"p.tsv": lines})


def test_names_in_messages_are_bounded(tmp_path: Path) -> None:
    header = "\t".join(f"a column with the number {number} and a long name" for number in range(5000))
    said = _fault(tmp_path, 'files = "p.tsv"', {"p.tsv": f"{header}\n"})
    assert "and 4988 more" in said or "4988 more" in said
    assert len(said) < 1200 + len(str(tmp_path))
    one_line = "sentence " * 40_000
    assert len(_fault(tmp_path, 'files = "p.tsv"', {"p.tsv": one_line})) < 400 + len(str(tmp_path))
    record = json.dumps({f"key {number}" * 9: 1 for number in range(5000)})
    assert len(_fault(tmp_path, 'files = "p.jsonl"', {"p.jsonl": record})) < 1200 + len(str(tmp_path))


@pytest.mark.parametrize(
    "value",
    [
        "1" + "0" * 5000,
        "[" * 300 + "]" * 300,
        "[" * 900 + "]" * 900,
        '{"a":' * 900 + "1" + "}" * 900,
        '"' + "x" * 99_999 + '"',
        "[" * 99_999,
    ],
    ids=["digits", "nested", "deep", "objects", "long", "bomb"],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_json_bombs_are_one_short_line(tmp_path: Path, suffix: str, value: str) -> None:
    record = f'{{"sentence1": "a", "sentence2": "b", "score": {value}}}'
    content = f"[{record}]" if suffix == "json" else record
    said = _fault(tmp_path, f'files = "p.{suffix}"', {f"p.{suffix}": content})
    assert len(said) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    "column", ["t[1]", "..", "*", ".//t", "t/x", "[", "@*", "t[@a='1']", "//", "{", "t:x", ".", "a.b.c"]
)
def test_a_column_of_xml_is_a_name_and_no_path(tmp_path: Path, column: str) -> None:
    xml = '<all><pair s="1"><t><x>a</x></t><h>b</h></pair></all>'
    table = f'files = "p.xml"\ncolumns = [{json.dumps(column)}, "h", "@s"]'
    assert "pair 1: no " in _fault(tmp_path, table, {"p.xml": xml})


def test_xml_without_the_element_names_those_that_it_has(tmp_path: Path) -> None:
    xml = "<all xmlns='u'>" + "".join(f"<tag{n}/>" for n in range(100)) + "<pair/></all>"
    said = _fault(tmp_path, 'files = "p.xml"\ncolumns = ["t", "h", "@s"]', {"p.xml": xml})
    assert 'no element "pair"' in said
    assert '"{u}tag0"' in said
    assert len(said) < 900 + len(str(tmp_path))


def test_the_pairs_left_out_are_counted_for_whoever_evaluates(tmp_path: Path) -> None:
    lines = "a\tb\t1\n\tx\t2\nc\td\t2\n \t\t2\n"
    table = 'files = "p.tsv"\ncolumns = [0, 1, 2]\nblank_sentences = true'
    pair_set = catalog_of(tmp_path, table, {"p.tsv": lines}).pair_set("mine.xx")
    located = locate_set(pair_set, None, PretendedHub())
    assert not hasattr(located, "why")
    assert read_pairs(located, PretendedHub()).dropped == 2  # type: ignore[arg-type]
