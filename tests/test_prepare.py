"""`mlsg prepare`: what is kept, what is dropped and why; the same bytes whatever happened on the way."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unicodedata import category, normalize

import pytest

from mlsg.cache.artefact import Artefact
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import load_catalog
from mlsg.config.recipes import load_recipe
from mlsg.data.pairs import LocatedSet, locate_set, read_pairs
from mlsg.errors import DataError, SettingError
from mlsg.hub import Hub
from mlsg.prepare import prepare, sentences_file, stream_sentences, text_sha256
from mlsg.report.output import summary_rows
from mlsg.text import split as split_module
from tests.contexts import context_of
from tests.data.written import PretendedHub

stage = sys.modules["mlsg.prepare"]

_TOML = """
code = "xx"
name = "Example"
[corpora.mine]
files = "mine.txt"
[corpora.repeated]
files = "mine.txt"
repetitions = true
[corpora.declared]
files = "mine.txt"
repetitions = true
transductive = ["pairs"]
[corpora.documents]
files = "documents.txt"
documents = true
[sets."pairs.xx"]
files = "test.tsv"
columns = [0, 1, 2]
[sets."pairs.xx@dev"]
files = "dev.tsv"
columns = [0, 1, 2]
default = false
[sets."pairs.xx@train"]
files = "train.tsv"
columns = [0, 1, 2]
default = false
[sets."cross.en-xx"]
files = "cross.tsv"
columns = [0, 1, 2]
languages = ["en", "xx"]
default = false
[sets."far.xx"]
files = "nowhere.tsv"
columns = [0, 1, 2]
default = false
"""
_FILES = {
    "mine.txt": "The first sentence.\nA TEST   sentence here.\nthe first sentence.\nThe first sentence.\nshort\n"
    "1234567890 12345\nA dev sentence here.\nA train sentence here.\nAn English sentence.\nA foreign sentence.\n"
    "a test sentence here.\nThe last sentence.\n" + "long " * 90 + "\n\u200b\n",
    "documents.txt": "One sentence stands here. Another one follows it!\n"
    "A test sentence here. And its neighbour stays.\n",
    "test.tsv": "A test sentence here.\tNot in the text at all.\t3\n",
    "dev.tsv": "Nor is this one.\tA dev sentence here.\t3\n",
    "train.tsv": "A train sentence here.\tNor this.\t3\n",
    "cross.tsv": "An English sentence.\tA foreign sentence.\t3\n",
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def langs(tmp_path: Path) -> Path:
    """A folder with one language of our own and its files."""
    folder = tmp_path / "langs"
    folder.mkdir()
    (folder / "xx.toml").write_text(_TOML, encoding="utf-8")
    for name, content in _FILES.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def read_sentences(artefact: Artefact) -> list[str]:
    return list(stream_sentences(artefact))


def _prepare(workspace: Workspace, langs: Path, *sources: Path, column: str = "text", **settings: object) -> Artefact:
    given = {"lang": "xx", **settings}
    recipe = load_recipe("zero_shot", [f"prepare.{name}={json.dumps(value)}" for name, value in given.items()])
    catalog = load_catalog([langs])
    return prepare(recipe, context_of(workspace, catalog), sources=sources, column=column)


def _counts(compared: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in compared.items() if name != "fingerprint"}


def _state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_each_line_is_dropped_for_the_first_reason(workspace: Workspace, langs: Path) -> None:
    artefact = _prepare(workspace, langs)
    assert read_sentences(artefact) == [
        "The first sentence.",
        "the first sentence.",
        "A train sentence here.",
        "The last sentence.",
    ]
    assert artefact.facts["read"] == 14
    assert artefact.facts["kept"] == 4
    assert artefact.facts["dropped"] == {
        "duplicate": 1,
        "empty": 1,
        "evaluation": 5,
        "no_letters": 1,
        "too_long": 1,
        "too_short": 1,
    }


def test_sets_are_counted_by_split_with_both_columns(workspace: Workspace, langs: Path) -> None:
    facts = _prepare(workspace, langs).facts
    found = {name: _counts(each) for name, each in facts["evaluation"].items() if not name.startswith("starter.")}
    assert found == {
        "pairs.xx": {"sentences": 2, "found": 1, "kept": 0, "dropped": 2},
        "pairs.xx@dev": {"sentences": 2, "found": 1, "kept": 0, "dropped": 1},
        "cross.en-xx": {"sentences": 2, "found": 2, "kept": 0, "dropped": 2},
    }
    assert next(iter(facts["not_checked"])) == "far.xx"
    assert "nowhere.tsv" in facts["not_checked"]["far.xx"]
    assert str(langs) not in json.dumps(facts)


def test_a_transductive_corpus_loses_nothing_and_says_what_it_holds(workspace: Workspace, langs: Path) -> None:
    artefact = _prepare(workspace, langs, corpus="declared")
    assert "evaluation" not in artefact.facts["dropped"]
    assert _counts(artefact.facts["evaluation"]["pairs.xx"]) == {"sentences": 2, "found": 1, "kept": 2, "dropped": 0}
    assert artefact.facts["transductive"] == ["pairs"]
    assert read_sentences(artefact).count("The first sentence.") == 2


def test_a_sample_of_a_transductive_corpus_counts_what_it_holds_itself(workspace: Workspace, langs: Path) -> None:
    artefact = _prepare(workspace, langs, corpus="declared", limit=3)
    held = [text.lower() for text in read_sentences(artefact)].count("a test sentence here.")
    assert artefact.facts["evaluation"]["pairs.xx"]["kept"] == held


def test_repetitions_are_kept_where_the_corpus_says_so(workspace: Workspace, langs: Path) -> None:
    artefact = _prepare(workspace, langs, corpus="repeated")
    assert read_sentences(artefact).count("The first sentence.") == 2
    assert "duplicate" not in artefact.facts["dropped"]


def _more_sets(langs: Path, rows: str, **declared: str) -> None:
    """A language yy with one set, whose sentences are in `rows`."""
    more = "".join(f"{name} = {value}\n" for name, value in declared.items())
    (langs / "yy.toml").write_text(f'code = "yy"\n[sets."far.yy"]\ncolumns = [0, 1, 2]\nfiles = "yy.tsv"\n{more}')
    (langs / "yy.tsv").write_text(rows, encoding="utf-8")


def test_the_text_is_compared_with_the_sets_of_all_languages(workspace: Workspace, langs: Path) -> None:
    _more_sets(langs, "Not there.\tTHE LAST  sentence.\t1\n")
    artefact = _prepare(workspace, langs)
    assert "The last sentence." not in read_sentences(artefact)
    assert _counts(artefact.facts["evaluation"]["far.yy"]) == {"sentences": 2, "found": 1, "kept": 0, "dropped": 1}
    starters = {each.name for each in load_catalog().all_sets() if each.family == "starter"}
    assert starters < set(artefact.facts["evaluation"])


def test_every_declared_set_is_compared_or_said_not_to_be(workspace: Workspace, langs: Path) -> None:
    facts = _prepare(workspace, langs).facts
    named = [*facts["evaluation"], *facts["not_checked"], *facts["compared_later"]]
    assert len(named) == len(set(named))
    assert set(named) == {each.name for each in load_catalog([langs]).all_sets() if each.split != "train"}


def test_of_the_hub_only_sets_of_the_texts_language_are_asked_for(
    workspace: Workspace, langs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"sentence1": "The last sentence.", "sentence2": "Not there.", "score": 1.0}]
    hub = PretendedHub({"some/own": rows, "some/other": rows})
    monkeypatch.setattr(Hub, "from_environment", lambda _: hub)
    with (langs / "xx.toml").open("a", encoding="utf-8") as file:
        file.write('[sets."hub.xx"]\nhub = { path = "some/own" }\n')
    (langs / "yy.toml").write_text('code = "yy"\n[sets."hub.yy"]\nhub = { path = "some/other" }\n')
    facts = _prepare(workspace, langs).facts
    assert facts["evaluation"]["hub.xx"]["dropped"] == 1
    assert "hub.yy" in facts["compared_later"]
    assert {source.path for source in hub.asked} == {"some/own"}


def test_metadata_of_sets_is_not_in_the_key_and_a_new_set_leaves_the_text_as_it_is(
    workspace: Workspace, langs: Path
) -> None:
    _more_sets(langs, "Not there.\tNor this.\t1\n")
    one = _prepare(workspace, langs)
    for declared in ({"kind": '"quality"'}, {"made": '"human_translation"'}, {"pairs": "1"}, {"score_range": "[0, 5]"}):
        _more_sets(langs, "Not there.\tNor this.\t1\n", **declared)
        assert _prepare(workspace, langs).key == one.key
    (langs / "yy.toml").unlink()
    without = _prepare(workspace, langs)
    assert without.key != one.key
    assert text_sha256(without) == text_sha256(one)


def test_a_set_that_cannot_be_read_is_said_and_is_no_end(workspace: Workspace, langs: Path) -> None:
    _more_sets(langs, "The last sentence.\tNor this.\tone\n")
    artefact = _prepare(workspace, langs)
    assert "far.yy" not in artefact.facts["evaluation"]
    assert 'score "one" is not a number' in artefact.facts["not_checked"]["far.yy"]
    assert str(langs) not in json.dumps(artefact.facts)


def test_sets_are_parsed_once_for_several_texts(
    workspace: Workspace, langs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _prepare(workspace, langs)
    monkeypatch.setattr("mlsg.data.comparison.read_pairs", None)
    assert _prepare(workspace, langs, limit=2).facts["evaluation"] == first.facts["evaluation"]


def test_near_matches_are_dropped_on_demand_and_counted(workspace: Workspace, langs: Path, tmp_path: Path) -> None:
    (tmp_path / "near.txt").write_text(
        "A test sentence here\na TEST sentence  here !\nA dev sentence here.\nAnother one.\n"
    )
    plain = _prepare(workspace, langs, tmp_path / "near.txt")
    assert plain.facts["dropped"] == {"evaluation": 1}
    artefact = _prepare(workspace, langs, tmp_path / "near.txt", drop_near=True)
    assert read_sentences(artefact) == ["Another one."]
    assert artefact.facts["dropped"] == {"evaluation": 1, "near_evaluation": 2}
    assert {name: each["near"] for name, each in artefact.facts["evaluation"].items() if each["near"]} == {
        "pairs.xx": 2
    }
    assert dict(summary_rows(artefact))["nearly found and dropped"] == "pairs.xx 2"
    with pytest.raises(SettingError, match=r"prepare\.drop_near without prepare\.drop_evaluation"):
        _prepare(workspace, langs, drop_near=True, drop_evaluation=False)


@pytest.mark.parametrize(("name", "column"), [("sts17.es-es", 0), ("stsb_mt.zh", 1), ("semrel24.hin", 0)])
def test_sentences_of_a_set_of_another_language_are_dropped(
    workspace: Workspace, shared: Path, tmp_path: Path, name: str, column: int
) -> None:
    located = locate_set(load_catalog().pair_set(name), shared / "data", PretendedHub())
    assert isinstance(located, LocatedSet)
    pairs = read_pairs(located, PretendedHub())
    texts = (pairs.first, pairs.second)[column][:64]
    (tmp_path / "a.txt").write_text("\n".join([*texts, "Some text of the user."]), encoding="utf-8")
    context = context_of(workspace, load_catalog(), shared / "data")
    artefact = prepare(load_recipe("zero_shot", ["prepare.min_chars=1"]), context, sources=[tmp_path / "a.txt"])
    assert read_sentences(artefact) == ["Some text of the user."]
    assert artefact.facts["evaluation"][name]["dropped"] == 64
    (tmp_path / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    with pytest.raises(DataError, match=r"none of the 64 lines .*\(64 evaluation\); give text without evaluation"):
        prepare(load_recipe(), context, sources=[tmp_path / "a.txt"])


def test_evaluation_sentences_stay_on_demand(workspace: Workspace, langs: Path) -> None:
    artefact = _prepare(workspace, langs, drop_evaluation=False)
    assert "A dev sentence here." in read_sentences(artefact)
    assert artefact.facts["evaluation"] == {}
    assert not any(name.startswith("set ") for name in artefact.manifest["fingerprints"])


def test_documents_are_split(workspace: Workspace, langs: Path) -> None:
    artefact = _prepare(workspace, langs, corpus="documents")
    assert read_sentences(artefact) == [
        "One sentence stands here.",
        "Another one follows it!",
        "And its neighbour stays.",
    ]
    assert artefact.manifest["fingerprints"]["splitter"].startswith("sentencex ")


def test_the_second_time_nothing_is_read_or_written(
    workspace: Workspace, langs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _prepare(workspace, langs)
    before = _state(workspace.root)
    monkeypatch.setattr(stage, "evaluation_sentences", None)
    monkeypatch.setattr(stage, "filter_texts", None)
    assert _prepare(workspace, langs).key == first.key
    assert _state(workspace.root) == before


@pytest.mark.parametrize(
    "settings",
    [
        {"limit": 3},
        {"limit": 3, "seed": 1},
        {"min_chars": 11},
        {"max_chars": 399},
        {"drop_evaluation": False},
        {"corpus": "repeated"},
    ],
)
def test_another_setting_is_another_artefact(workspace: Workspace, langs: Path, settings: Mapping[str, object]) -> None:
    keys = {_prepare(workspace, langs, **given).key for given in ({}, {"limit": 4}, settings)}
    assert len(keys) == 3


def test_what_changes_nothing_is_not_in_the_key(workspace: Workspace, langs: Path) -> None:
    key = _prepare(workspace, langs).key
    assert _prepare(workspace, langs, seed=5).key == key
    assert _prepare(workspace, langs, corpus="mine").key == key
    (langs / "train.tsv").write_text("Other training text.\tMore.\t1\n")
    assert _prepare(workspace, langs).key == key
    (langs / "dev.tsv").write_text("Other dev text.\tMore of it.\t1\n")
    assert _prepare(workspace, langs).key != key


def test_a_sample_is_seeded_ordered_and_nested(workspace: Workspace, langs: Path) -> None:
    (langs / "mine.txt").write_text("".join(f"Sentence number {number}.\n" for number in range(500)))
    every = read_sentences(_prepare(workspace, langs))
    small, large, other = (
        read_sentences(_prepare(workspace, langs, limit=limit, seed=seed))
        for limit, seed in ((50, 0), (80, 0), (50, 1))
    )
    assert (len(small), len(large), len(other)) == (50, 80, 50)
    for sample in (small, large, other):
        assert sample == [sentence for sentence in every if sentence in set(sample)]
    assert set(small) < set(large)
    assert small != other
    artefact = _prepare(workspace, langs, limit=50)
    assert artefact.facts["not_sampled"] == 450
    assert read_sentences(_prepare(Workspace(workspace.root / "other"), langs, limit=50)) == small
    assert read_sentences(_prepare(workspace, langs, limit=1000)) == every


def test_own_files_come_before_the_corpus(workspace: Workspace, langs: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"body,n\nThe text of a user.,1\nA test sentence here.,2\n"))
    (tmp_path / "b.txt").write_text("\ufeffAnother te\u0301xt of a user.\n", encoding="utf-8")
    artefact = _prepare(workspace, langs, tmp_path / "a.csv.gz", tmp_path / "b.txt", column="body", corpus="repeated")
    assert sentences_file(artefact).read_bytes().decode() == "The text of a user.\nAnother téxt of a user.\n"
    assert artefact.name == "xx-files"
    assert artefact.facts["corpus"] == "files"
    moved = tmp_path / "moved.txt"
    (tmp_path / "b.txt").rename(moved)
    assert _prepare(workspace, langs, tmp_path / "a.csv.gz", moved, column="body").key == artefact.key


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "corpus files of language xx holds no text"),
        ("\n \n", "holds no text"),
        (
            "short\nA test sentence here.\n12345678901\n",
            r"none of the 3 lines .*\(1 evaluation, 1 no letters, 1 too short",
        ),
    ],
)
def test_nothing_kept_is_an_error_and_publishes_nothing(
    workspace: Workspace, langs: Path, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(DataError, match=said):
        _prepare(workspace, langs, tmp_path / "a.txt")
    assert workspace.artefacts("sentences") == []


def test_a_fault_in_the_text_publishes_nothing(workspace: Workspace, langs: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"A good sentence.\n" * 9000 + b"\xff\n")
    with pytest.raises(DataError, match=r"a\.txt, line 9001"):
        _prepare(workspace, langs, tmp_path / "a.txt")
    assert workspace.artefacts("sentences") == []


def test_wrong_settings_are_said(workspace: Workspace, langs: Path) -> None:
    with pytest.raises(SettingError, match='unknown language "xy"'):
        _prepare(workspace, langs, lang="xy")
    with pytest.raises(SettingError, match=r'unknown corpus "mne".*"mine"'):
        _prepare(workspace, langs, corpus="mne")
    with pytest.raises(SettingError, match=r"min_chars is 50 and prepare\.max_chars 40"):
        _prepare(workspace, langs, min_chars=50, max_chars=40)


def test_the_summary_says_what_the_facts_say(workspace: Workspace, langs: Path) -> None:
    rows = dict(summary_rows(_prepare(workspace, langs, limit=2)))
    assert rows["sentences"] == "2 of 14 read"
    assert rows["dropped, evaluation"] == "5"
    assert rows["left out by the limit"] == "2"
    assert rows["found and dropped"] == "pairs.xx 1 of 2; pairs.xx@dev 1 of 2; cross.en-xx 2 of 2"
    assert rows["sets not checked"].startswith("far.xx, ")
    declared = dict(summary_rows(_prepare(workspace, langs, corpus="declared")))
    assert "found and kept, transductive: pairs" in declared
    assert dict(summary_rows(_prepare(workspace, langs, drop_evaluation=False)))["evaluation sets"].startswith("not")


def test_of_many_sets_that_are_not_available_the_summary_names_some_and_counts_the_others(workspace: Workspace) -> None:
    recipe = load_recipe("zero_shot", ["prepare.corpus=starter"])
    artefact = prepare(recipe, context_of(workspace, load_catalog()))
    missing = list(artefact.facts["not_checked"])
    said = dict(summary_rows(artefact))["sets not checked"]
    assert [name for name in missing if f"{name}, " in said or f"{name} and" in said] == missing[:6]
    assert f"and {len(missing) - 6} more" in said


def test_the_starter_needs_no_data_and_no_network(workspace: Workspace) -> None:
    recipe = load_recipe("zero_shot", ["prepare.corpus=starter"])
    artefact = prepare(recipe, context_of(workspace, load_catalog()))
    assert artefact.facts["kept"] >= 1500
    assert artefact.name == "en-starter"


def test_the_papers_corpus_has_17256_sentences(workspace: Workspace, shared: Path) -> None:
    artefact = prepare(load_recipe(), context_of(workspace, load_catalog(), shared / "data"))
    expected = []
    for split in ("train", "dev", "test"):
        text = (shared / f"data/STS/STSBenchmark/sts-{split}.csv").read_text(encoding="utf-8")
        rows = [line.split("\t") for line in text.rstrip("\n").split("\n")]
        # One sentence holds a stray control character, one is not in NFC.
        printable = ["".join(char for char in cell if category(char) != "Cc") for row in rows for cell in row[5:7]]
        expected += [normalize("NFC", " ".join(text.split())) for text in printable]
    assert len(expected) == 17_256
    assert read_sentences(artefact) == expected
    facts = artefact.facts
    assert (facts["read"], facts["kept"], facts["dropped"]) == (17_256, 17_256, {})
    assert facts["transductive"] == ["stsb"]
    assert facts["evaluation"]["stsb.en"]["found"] == facts["evaluation"]["stsb.en"]["sentences"]
    assert facts["evaluation"]["stsb.en"]["kept"] >= 2 * 1379


def test_the_inductive_twin_holds_no_sentence_of_any_english_set(workspace: Workspace, shared: Path) -> None:
    recipe = load_recipe("zero_shot", ["prepare.corpus=stsb_train"])
    artefact = prepare(recipe, context_of(workspace, load_catalog(), shared / "data"))
    assert artefact.facts["read"] == 2 * 5749
    left = {" ".join(text.casefold().split()) for text in read_sentences(artefact)}
    for name in ("STS/STSBenchmark/sts-test.csv", "STS/STSBenchmark/sts-dev.csv"):
        for line in (shared / "data" / name).read_text(encoding="utf-8").rstrip("\n").split("\n"):
            assert left.isdisjoint(" ".join(cell.casefold().split()) for cell in line.split("\t")[5:7])


_KILLED = """
import os, signal, sys
from pathlib import Path
import mlsg.prepare
stage = sys.modules['mlsg.prepare']
from mlsg.config.catalog import load_catalog
from mlsg.config.recipes import load_recipe
from mlsg.text import split as split_module
from mlsg.cache.workspace import Workspace
from tests.contexts import context_of
split_module.DOCUMENTS_A_SHARD = 7
langs, root, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
kind, real = sys.argv[4], stage.stream_corpus
def dying(*given):
    fingerprint, texts = real(*given)
    def few():
        for number, text in enumerate(texts):
            if number == last:
                os.kill(os.getpid(), signal.SIGKILL)
            yield text
    return fingerprint, few()
stage.stream_corpus = dying
if kind == "sample":
    stage._sample = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
recipe = load_recipe("zero_shot", ["prepare.lang=xx", "prepare.corpus=documents", "prepare.limit=60"])
stage.prepare(recipe, context_of(Workspace(root), load_catalog([langs])))
"""


@pytest.mark.parametrize(("last", "kind", "finished"), [(0, "read", 0), (20, "read", 2), (10**9, "sample", 8)])
def test_killed_and_gone_on_ends_with_the_same_bytes(
    langs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int, kind: str, finished: int
) -> None:
    documents = (f"Document {number} starts here. It has a sentence {number % 9}.\n" for number in range(50))
    (langs / "documents.txt").write_text("".join(documents))
    root = tmp_path / "killed"
    command = [sys.executable, "-c", _KILLED, str(langs), str(root), str(last), kind]
    ended = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    assert ended.returncode == -signal.SIGKILL
    assert Workspace(root).artefacts("sentences") == []
    assert len(list(root.glob("sentences/.*.partial/scratch/shards/*.txt"))) == finished
    whole = _prepare(Workspace(tmp_path / "whole"), langs, corpus="documents", limit=60)
    monkeypatch.setattr(split_module, "DOCUMENTS_A_SHARD", 7)
    after = _prepare(Workspace(root), langs, corpus="documents", limit=60)
    assert sentences_file(after).read_bytes() == sentences_file(whole).read_bytes()
    assert {**after.manifest, "seconds": 0} == {**whole.manifest, "seconds": 0}
    assert Workspace(root).partial_builds() == []


_MEASURED = """
import resource, sys, time
from pathlib import Path
from mlsg.config.catalog import load_catalog
from mlsg.prepare import prepare
from mlsg.config.recipes import load_recipe
from mlsg.cache.workspace import Workspace
from tests.contexts import context_of
langs, root, source = (Path(argument) for argument in sys.argv[1:])
recipe = load_recipe("zero_shot", ["prepare.lang=xx"])
catalog = load_catalog([langs])
began = time.monotonic()
artefact = prepare(recipe, context_of(Workspace(root), catalog), sources=[source])
seconds = time.monotonic() - began
heavy = {"torch", "transformers", "datasets"} & set(sys.modules)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(artefact.facts["kept"], seconds, peak, len(heavy))
"""


def _measure(langs: Path, tmp_path: Path, lines: int) -> tuple[int, float, float]:
    """Kept sentences, seconds, and the peak of MiB that preparing a file of that many lines takes."""
    source = tmp_path / f"{lines}.txt"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(
            f"Généré: sentence {number} of a long file, with some words to fill it.\n" for number in range(lines)
        )
    workspace = tmp_path / f"ws{lines}"
    command = [sys.executable, "-c", _MEASURED, str(langs), str(workspace), str(source)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split()
    kept, seconds, peak, heavy = (float(figure) for figure in printed)
    assert not heavy, "a heavy library was imported"
    return int(kept), seconds, peak / 1024


def test_a_long_file_streams_through_with_flat_memory(langs: Path, tmp_path: Path) -> None:
    few, _, small = _measure(langs, tmp_path, 50_000)
    many, seconds, large = _measure(langs, tmp_path, 200_000)
    assert (few, many) == (50_000, 200_000)
    assert seconds < 10
    # Digests of 200,000 texts take 8 MiB; the file itself has 15, its lines as Python's strings 30.
    assert large - small < 15


@pytest.mark.slow
def test_two_million_sentences_take_less_than_300_mib(langs: Path, tmp_path: Path) -> None:
    kept, _, peak = _measure(langs, tmp_path, 2_000_000)
    assert kept == 2_000_000
    assert peak < 300  # 64 MiB of it are digests, 32 more while their table grows


def test_a_streamed_corpus_of_the_hub_is_split(
    workspace: Workspace, langs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = PretendedHub(
        {"some/wiki": [{"text": "A title\n\nIt starts here. It goes on."}, {"text": "And it ends here!"}]}
    )
    monkeypatch.setattr(Hub, "from_environment", lambda _: hub)
    with (langs / "xx.toml").open("a", encoding="utf-8") as file:
        file.write('[corpora.wiki]\ndocuments = true\nstreamed = true\nhub = { path = "some/wiki" }\n')
    artefact = _prepare(workspace, langs, corpus="wiki", min_chars=8)
    assert read_sentences(artefact) == ["It starts here.", "It goes on.", "And it ends here!"]
    assert artefact.facts["dropped"] == {"too_short": 1}
