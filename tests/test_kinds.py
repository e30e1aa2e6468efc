"""`mlsg prepare` for pairs, triplets, documents and several languages at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlsg.api import run_prepare
from mlsg.cache.artefact import Artefact
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import load_catalog
from mlsg.config.recipes import load_recipe
from mlsg.errors import DataError, SettingError
from mlsg.evaluate.leakage import _path_of
from mlsg.prepare import sentences_file, text_sha256
from tests.contexts import context_of
from tests.test_prepare import _FILES, _TOML

_OTHER = """
code = "yy"
name = "Other"
[corpora.mine]
files = "other.txt"
"""
_TRIPLETS = (
    "anchor\tpositive\tnegative\n"
    "The first anchor here.\tIts positive sentence.\tA hard negative one.\n"
    "The second anchor here.\ttoo\tA hard negative one.\n"
    "The third anchor here.\tA TEST sentence here.\tA hard negative one.\n"
    "The first anchor here.\tIts positive sentence.\tA hard negative one.\n"
    "The fourth  anchor\u00a0here.\tIts positive sentence.\tA hard negative one.\n"
)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def langs(tmp_path: Path) -> Path:
    """A folder with one language of our own and its files."""
    folder = tmp_path / "langs"
    folder.mkdir()
    for name, content in {"xx.toml": _TOML, **_FILES}.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def prepared(
    workspace: Workspace, folder: Path, *sources: Path, column: list[str] | None = None, **settings: object
) -> Artefact:
    given = {"lang": "xx", **settings}
    recipe = load_recipe("zero_shot", [f"prepare.{name}={json.dumps(value)}" for name, value in given.items()])
    return run_prepare(recipe, context_of(workspace, load_catalog([folder])), sources, column)


def rows(artefact: Artefact) -> list[list[str]]:
    return [line.split("\t") for line in sentences_file(artefact).read_text("utf-8").splitlines()]


def test_a_triplet_is_kept_or_dropped_as_a_whole(workspace: Workspace, langs: Path, tmp_path: Path) -> None:
    (tmp_path / "nli.tsv").write_text(_TRIPLETS, "utf-8")
    found = prepared(workspace, langs, tmp_path / "nli.tsv", kind="triplets")
    assert rows(found) == [
        ["The first anchor here.", "Its positive sentence.", "A hard negative one."],
        ["The fourth anchor here.", "Its positive sentence.", "A hard negative one."],
    ]
    facts = found.facts
    assert (facts["read"], facts["kept"], facts["kind"]) == (5, 2, "triplets")
    assert facts["dropped"] == {"duplicate": 1, "evaluation": 1, "too_short": 1}
    assert facts["evaluation"]["pairs.xx"]["found"] == 1


def test_pairs_come_from_two_named_columns(workspace: Workspace, langs: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(
        '{"a": "An English line of text.", "b": "Its paraphrase is\\there.", "c": 1}\n', "utf-8"
    )
    found = prepared(workspace, langs, tmp_path / "pairs.jsonl", column=["a", "b"], kind="pairs")
    assert rows(found) == [["An English line of text.", "Its paraphrase is here."]]


@pytest.mark.parametrize(
    ("kind", "column", "said"),
    [
        ("triplets", ["a", "b"], "name three: anchor, positive, hard negative"),
        ("pairs", ["a"], 'prepare.kind = "pairs" with 1 columns'),
        ("sentences", ["a", "b"], "name one"),
    ],
)
def test_another_number_of_columns_is_one_line(
    kind: str,
    column: list[str],
    said: str,
    workspace: Workspace,
    langs: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "nli.tsv").write_text(_TRIPLETS, "utf-8")
    with pytest.raises(SettingError, match=said):
        prepared(workspace, langs, tmp_path / "nli.tsv", column=column, kind=kind)


def test_triplets_out_of_a_file_of_two_columns_name_the_missing_one(
    workspace: Workspace,
    langs: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "nli.tsv").write_text("anchor\tpositive\na b c d e f\tg h i j k l\n", "utf-8")
    with pytest.raises(DataError, match='no column "negative"'):
        prepared(workspace, langs, tmp_path / "nli.tsv", kind="triplets")
    with pytest.raises(SettingError, match="corpus mine has 1 columns, not those of triplets"):
        prepared(workspace, langs, kind="triplets", corpus="mine")
    with pytest.raises(DataError, match="has no columns"):
        prepared(workspace, langs, langs / "mine.txt", kind="pairs")


def test_documents_keep_their_order_and_lose_evaluation_sentences(workspace: Workspace, langs: Path) -> None:
    found = prepared(workspace, langs, kind="documents", corpus="documents")
    assert rows(found) == [
        ["One sentence stands here. Another one follows it!"],
        ["And its neighbour stays."],
    ]
    assert found.facts["evaluation"]["pairs.xx"]["dropped"] == 1
    assert _path_of(text_sha256(found), workspace) is None  # no line of it is a sentence, so nothing can be counted


def test_several_languages_stand_one_after_the_other(workspace: Workspace, langs: Path) -> None:
    (langs / "yy.toml").write_text(_OTHER, "utf-8")
    (langs / "other.txt").write_text("".join(f"Sentence number {n} of yy.\n" for n in range(9)), "utf-8")
    alone = [prepared(workspace, langs, lang=code, limit=limit) for code, limit in (("yy", 4), ("xx", 0))]
    found = prepared(workspace, langs, lang="yy:4,xx", corpus="mine")
    assert sentences_file(found).read_bytes() == b"".join(sentences_file(each).read_bytes() for each in alone)
    facts = found.facts
    assert facts["lang"] == "yy,xx"
    assert facts["languages"] == {"yy": 4, "xx": alone[1].facts["kept"]}
    assert facts["kept"] == 4 + alone[1].facts["kept"]
    assert facts["evaluation"]["pairs.xx"]["dropped"] == alone[1].facts["evaluation"]["pairs.xx"]["dropped"]
    assert prepared(workspace, langs, lang="yy:4,xx", corpus="mine").folder == found.folder


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("xx,xx", "twice"),
        ("xx:0,yy", "is no limit"),
        ("xx:many", "is no limit"),
        ("xx,", "unknown language"),
        ("xx,qq", 'unknown language "qq"'),
    ],
)
def test_languages_that_cannot_be_joined_are_one_line(lang: str, said: str, workspace: Workspace, langs: Path) -> None:
    with pytest.raises(SettingError, match=said):
        prepared(workspace, langs, lang=lang)


def test_a_language_without_text_is_named(workspace: Workspace, langs: Path) -> None:
    (langs / "yy.toml").write_text(_OTHER, "utf-8")
    (langs / "other.txt").write_text("no\n", "utf-8")
    with pytest.raises(DataError, match="corpus mine of language yy"):
        prepared(workspace, langs, lang="xx,yy", corpus="mine")


def test_own_files_are_of_one_language(workspace: Workspace, langs: Path) -> None:
    with pytest.raises(SettingError, match="name the one language"):
        prepared(workspace, langs, langs / "mine.txt", lang="xx,yy")
