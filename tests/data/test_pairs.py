"""Where a set is found, what its fingerprint depends on, and what the hub's rows become."""

from __future__ import annotations

import dataclasses
import lzma
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mlsg.config.catalog import load_catalog
from mlsg.config.resources import starter_folder
from mlsg.data.pairs import LocatedSet, MissingSet, check_count, locate_set, read_pairs
from mlsg.errors import DataError, SettingError
from tests.data.written import PretendedHub, catalog_of, rows_of, write

TSV = "sentence1\tsentence2\tscore\na\tb\t1\nc\td\t2\n"
ROWS: list[dict[str, Any]] = [
    {"sentence1": "a", "sentence2": "b", "score": 1.25, "lang": "xx"},
    {"sentence1": "c", "sentence2": "d", "score": 2, "lang": "yy"},
    {"sentence1": "e", "sentence2": "ē🙂", "score": "3", "lang": "xx"},
]
HUB = 'hub.path = "owner/name"\nhub.revision = "main"'


def _located(folder: Path, table: str, files: dict[str, str | bytes], hub: PretendedHub | None = None) -> LocatedSet:
    found = locate_set(catalog_of(folder, table, files).pair_set("mine.xx"), None, hub or PretendedHub())
    assert isinstance(found, LocatedSet), found
    return found


def test_files_come_before_the_hub(tmp_path: Path) -> None:
    hub = PretendedHub({"owner/name": ROWS})
    table = f'files = "p.tsv"\n{HUB}'
    found = _located(tmp_path, table, {"p.tsv": TSV}, hub)
    assert (found.origin, found.paths, found.revision) == ("files", (tmp_path / "p.tsv",), "")
    (tmp_path / "p.tsv").unlink()
    found = _located(tmp_path, table, {}, hub)
    assert (found.origin, found.paths, found.revision) == ("hub", (), "c" * 40)


def test_a_users_files_lie_beside_the_toml_or_under_the_data_root(tmp_path: Path) -> None:
    langs, root = tmp_path / "langs", tmp_path / "root"
    write(root, {"p.tsv": TSV})
    pair_set = catalog_of(langs, 'files = "p.tsv"', {}).pair_set("mine.xx")
    assert isinstance(locate_set(pair_set, None, PretendedHub()), MissingSet)
    found = locate_set(pair_set, root, PretendedHub())
    assert isinstance(found, LocatedSet) and found.paths == (root / "p.tsv",)
    write(langs, {"p.tsv": TSV})
    found = locate_set(pair_set, root, PretendedHub())
    assert isinstance(found, LocatedSet) and found.paths == (langs / "p.tsv",)


def test_our_files_are_never_looked_for_without_a_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"STSb-TR/stsb_tr_test.tsv": TSV})
    monkeypatch.chdir(tmp_path)
    found = locate_set(load_catalog().pair_set("stsb_google.tr"), None, PretendedHub(why="no network here"))
    assert found == MissingSet(load_catalog().pair_set("stsb_google.tr"), "no network here")


def test_what_is_nowhere_says_why(tmp_path: Path) -> None:
    catalog = load_catalog()
    only_files = locate_set(catalog.pair_set("stsb_google.th"), tmp_path, PretendedHub())
    assert isinstance(only_files, MissingSet)
    assert "stsb-th/sts-test_th.csv is not under" in only_files.why
    assert "not on the hub" in only_files.why
    assert locate_set(catalog.pair_set("stsb_google.th"), None, PretendedHub()) == MissingSet(
        catalog.pair_set("stsb_google.th"), "no --data-root is given, and it is not on the hub"
    )


def test_one_missing_file_of_two_is_no_half_set(tmp_path: Path) -> None:
    write(tmp_path, {"STS2017/STS2017.eval.v1.1/STS.input.track3.es-es.txt": "a\tb\n"})
    found = locate_set(load_catalog().pair_set("sts17.es-es"), tmp_path, PretendedHub())
    assert isinstance(found, MissingSet)


def test_a_hub_that_refuses_is_a_reason_and_not_an_end(tmp_path: Path) -> None:
    class Refusing(PretendedHub):
        def resolve(self, repo: str, revision: str = "main", kind: Any = "dataset") -> str | None:
            raise DataError(f"the hub knows no {repo}", "mend the path")

    pair_set = catalog_of(tmp_path, HUB, {}).pair_set("mine.xx")
    assert locate_set(pair_set, None, Refusing({"owner/name": ROWS})) == MissingSet(
        pair_set, "the hub knows no owner/name"
    )


def test_a_data_root_that_is_no_folder_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--data-root"):
        locate_set(load_catalog().pair_set("stsb.en"), tmp_path / "nowhere", PretendedHub())


def test_the_fingerprint_follows_bytes_and_declaration_not_the_place(tmp_path: Path) -> None:
    one = _located(tmp_path / "one", 'files = "p.tsv"', {"p.tsv": TSV}).fingerprint
    assert _located(tmp_path / "two", 'files = "deep/q.tsv"', {"deep/q.tsv": TSV}).fingerprint == one
    assert (
        _located(tmp_path / "three", 'files = "p.tsv"\nlicence = "CC0"\ndefault = false', {"p.tsv": TSV}).fingerprint
        == one
    )
    others = {
        _located(tmp_path / "four", 'files = "p.tsv"', {"p.tsv": TSV.replace("2", "3")}).fingerprint,
        _located(
            tmp_path / "five", 'files = "p.tsv"\ncolumns = ["sentence2", "sentence1", "score"]', {"p.tsv": TSV}
        ).fingerprint,
        _located(tmp_path / "six", 'files = "p.tsv"\nquoted = true', {"p.tsv": TSV}).fingerprint,
        _located(tmp_path / "seven", 'files = "p.tsv"\nmade = "human_translation"', {"p.tsv": TSV}).fingerprint,
        _located(tmp_path / "eight", HUB, {}, PretendedHub({"owner/name": ROWS})).fingerprint,
        _located(
            tmp_path / "nine", f'{HUB}\nhub.where.lang = "xx"', {}, PretendedHub({"owner/name": ROWS})
        ).fingerprint,
    }
    assert len(others | {one}) == 7


def test_the_text_of_a_set_follows_its_sentences_and_no_metadata(tmp_path: Path) -> None:
    hub = PretendedHub({"owner/name": ROWS})
    found = _located(tmp_path / "one", 'files = "p.tsv"', {"p.tsv": TSV})
    assert found.sha256 == (sha256(TSV.encode()).hexdigest(),)
    for number, declared in enumerate(("kind", "made", "primary", "pairs", "score_range", "texts", "languages")):
        value = {"kind": '"quality"', "made": '"human_translation"', "primary": "true", "pairs": "2"}.get(declared)
        value = value or {"score_range": "[0, 9]", "texts": '["stsb"]', "languages": '["en", "xx"]'}[declared]
        other = _located(tmp_path / f"m{number}", f'files = "p.tsv"\n{declared} = {value}', {"p.tsv": TSV})
        assert (other.text, other.fingerprint == found.fingerprint) == (found.text, False), declared
    on_hub = _located(tmp_path / "hub", HUB, {}, hub)
    assert _located(tmp_path / "count", f"{HUB}\nhub.pairs = 3", {}, hub).text == on_hub.text
    others = {
        found.text,
        on_hub.text,
        _located(tmp_path / "bytes", 'files = "p.tsv"', {"p.tsv": TSV.replace("a", "x")}).text,
        _located(tmp_path / "read", 'files = "p.tsv"\nquoted = true', {"p.tsv": TSV}).text,
        _located(tmp_path / "rows", f'{HUB}\nhub.where.lang = "xx"', {}, hub).text,
    }
    assert len(others) == 5


def test_rows_of_the_hub_become_pairs_at_the_resolved_revision(tmp_path: Path) -> None:
    hub = PretendedHub({"owner/name": ROWS})
    found = _located(tmp_path, f'{HUB}\nhub.where.lang = "xx"\npairs = 2', {}, hub)
    assert rows_of(read_pairs(found, hub)) == [("a", "b", 1.25), ("e", "ē🙂", 3.0)]
    assert [(source.revision, source.where) for source in hub.asked] == [("c" * 40, {"lang": "xx"})]


def test_a_nested_score_is_reached_with_a_full_stop(tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "labels": {"label": 3.7}}]
    hub = PretendedHub({"owner/name": rows})
    found = _located(tmp_path, f'{HUB}\nhub.columns = ["sentence1", "sentence2", "labels.label"]', {}, hub)
    assert rows_of(read_pairs(found, hub)) == [("a", "b", 3.7)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no scored pairs"),
        (ROWS, "3 scored pairs, 2 are declared"),
        ([{"sentence1": "a", "sentence_2": "b", "score": 1}], 'row 1: no column "sentence2"'),
        ([ROWS[0], {"sentence1": "a", "sentence2": "b", "score": None}], 'row 2: score "" is not a number'),
        ([{"sentence1": "a", "sentence2": "b", "score": 7}], "outside 0 to 5"),
    ],
)
def test_a_wrong_hub_set_is_named(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    hub = PretendedHub({"owner/name": rows})
    found = _located(tmp_path, f"{HUB}\npairs = 2\nscore_range = [0, 5]", {}, hub)
    with pytest.raises(DataError) as caught:
        read_pairs(found, hub)
    assert said in str(caught.value)
    assert "owner/name" in str(caught.value)


def test_a_copy_on_the_hub_may_have_another_count_than_the_files(tmp_path: Path) -> None:
    hub = PretendedHub({"owner/name": ROWS})
    for pairs in (3, 0):
        found = _located(tmp_path / str(pairs), f"{HUB}\nhub.pairs = {pairs}\npairs = 9", {}, hub)
        assert len(read_pairs(found, hub).scores) == 3


def test_a_wrong_count_does_not_pass() -> None:
    check_count("a.xx", 3, 3, "p.tsv")
    check_count("a.xx", 3, 0, "p.tsv")
    for read, declared in ((0, 0), (0, 3), (2, 3)):
        with pytest.raises(DataError, match=r"a\.xx: p\.tsv holds"):
            check_count("a.xx", read, declared, "p.tsv")


def test_a_truncated_shared_file_does_not_pass(shared: Path, tmp_path: Path) -> None:
    """A real file that lost its last line is refused, packed as it may be."""
    text = (shared / "data/STSb-TR/stsb_tr_test.tsv").read_bytes()
    write(tmp_path, {"STSb-TR/stsb_tr_test.tsv.xz": lzma.compress(text, preset=0)})
    pair_set = load_catalog().pair_set("stsb_google.tr")
    whole = locate_set(pair_set, tmp_path, PretendedHub())
    assert isinstance(whole, LocatedSet)
    assert len(read_pairs(whole, PretendedHub()).scores) == 1379
    shutil.rmtree(tmp_path / "STSb-TR")
    write(tmp_path, {"STSb-TR/stsb_tr_test.tsv": text[: text.rindex(b"\n", 0, -1) + 1]})
    short = locate_set(pair_set, tmp_path, PretendedHub())
    assert isinstance(short, LocatedSet)
    with pytest.raises(DataError, match="1378 scored pairs, 1379 are declared"):
        read_pairs(short, PretendedHub())


def test_a_set_of_the_starter_is_found_inside_the_package() -> None:
    found = locate_set(load_catalog().pair_set("starter.es"), None, PretendedHub())
    assert isinstance(found, LocatedSet)
    assert found.origin == "starter"
    assert found.paths == (starter_folder() / "pairs" / "es.tsv",)
    assert len(read_pairs(found, PretendedHub()).scores) == 126


def test_declarations_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_catalog().pair_set("stsb.en").pairs = 3  # type: ignore[misc]


def test_locating_and_reading_need_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys, mlsg.config.catalog, mlsg.data.pairs, mlsg.data.corpora; mlsg.config.catalog.load_catalog();"
        "print([name for name in ('torch', 'transformers', 'datasets', 'pandas', 'scipy') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert answer.stdout.strip() == "[]"
