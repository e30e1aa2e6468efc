"""The whole job through a hub: a real HTTP server on loopback, small data, a tiny model.

First online; then in a new workspace with HF_HUB_OFFLINE=1 and every socket refused, from the caches alone. The
languages are unknown to mlsg and declared as a user would declare them.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command import REPOSITORY, Ended, mlsg
from tests.hub.samples import as_jsonl, as_parquet
from tests.hub.server import Fault, HubServer
from tests.tiny_models import SENTENCES, tiny_bert

PAIRS = [
    {"sentence1": first, "sentence2": second, "score": float((number * 7) % 6)}
    for number, (first, second) in enumerate(zip(SENTENCES, reversed(SENTENCES), strict=True))
]
TEXTS = [{"text": f"{sentence} {number}."} for number in range(6) for sentence in SENTENCES]
ARTICLES = [
    {"id": str(n), "text": f"{SENTENCES[n % 20]} {SENTENCES[(n + 7) % 20]}\nNumber {n} stays."} for n in range(60)
]

QAA = """
code = "qaa"
name = "Language one"
[corpora.texts]
default = true
hub = { path = "owner/texts", split = "train" }
[corpora.encyclopedia]
documents = true
streamed = true
hub = { path = "owner/articles", config = "2026.qaa", split = "train" }
[corpora.large]
documents = true
streamed = true
hub = { path = "owner/large", split = "train" }
[corpora.lines]
streamed = true
hub = { path = "owner/large", split = "train", columns = ["title"] }
[sets."small.qaa"]
primary = true
hub = { path = "owner/pairs", config = "default", where = { lang = "qaa-qaa" } }
[sets."small.qaa@dev"]
default = false
hub = { path = "owner/pairs", split = "validation", where = { lang = "qaa-qaa" } }
"""
QAB = """
code = "qab"
name = "Language two"
[sets."small.qab"]
primary = true
hub = { path = "owner/pairs", where = { lang = "qab-qab" } }
[sets."small.qaa-qab"]
languages = ["qaa", "qab"]
hub = { path = "owner/pairs", where = { lang = "qaa-qab" } }
[sets."gone.qab"]
hub = { path = "owner/gone" }
"""
LARGE = [
    [
        {"url": f"https://example.org/{file}/{n}/" + "x" * 200, "title": f"Title {file} of {n}.",
         "text": f"Document {file} of {n} begins. " + f"It has {file} and {n} in it. " + "It goes on. " * 20}
        for n in range(400)
    ]
    for file in range(32)
]  # fmt: skip
TRAIN = ("--set", "train.max_steps=6", "--set", "train.dev=small.qaa@dev", "--set", "train.eval_steps=3")
DYING = """
import os, pathlib, signal
real, left = pathlib.Path.rename, int(os.environ["MLSG_TEST_SHARDS"])
def rename(self, target):
    global left
    left -= "shards" in str(target)
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
pathlib.Path.rename = rename
"""
REFUSE = """
import os, socket
open(os.environ["MLSG_TEST_SOCKETS"] + ".watched", "a").write("x")
def refuse(*_):
    open(os.environ["MLSG_TEST_SOCKETS"], "a").write("asked\\n")
    raise ConnectionRefusedError("no socket may be opened in this test")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


@dataclass(frozen=True)
class Place:
    """A folder of the user's, an HF_HOME, and the hub."""

    root: Path
    server: HubServer

    def run(self, *arguments: str, folder: str, **env: str) -> Ended:
        """`mlsg ARGUMENTS` in a folder of its own; its workspace is ./.mlsg there."""
        (self.root / folder).mkdir(exist_ok=True)
        hub = {"HF_ENDPOINT": self.server.endpoint, "HF_HOME": str(self.root / "hf-home")}
        return mlsg(*arguments, cwd=self.root / folder, **{**hub, **env})

    def offline(self, *arguments: str, folder: str) -> Ended:
        """The same without a network: `sitecustomize` refuses every socket before anything of ours is imported."""
        refuse = self.root / "refuse"
        refuse.mkdir(exist_ok=True)
        (refuse / "sitecustomize.py").write_text(REFUSE)
        shut = {"HF_HUB_OFFLINE": "1", "MLSG_TEST_SOCKETS": str(self.root / "sockets.txt")}
        return self.run(*arguments, folder=folder, PYTHONPATH=f"{refuse}:{REPOSITORY}", **shut)


@dataclass(frozen=True)
class Run:
    """What the three commands gave."""

    prepared: Ended
    trained: Ended
    scored: Ended
    weights: bytes
    sentences: bytes

    @property
    def scores(self) -> dict[str, Any]:
        return {name: value for name, value in json.loads(self.scored.out).items() if name != "seconds"}


def three_commands(run: Any, folder: str, root: Path) -> Run:
    langs = ("--langs-dir", "../langs")
    prepared = run("prepare", "--lang", "qaa", *langs, folder=folder)
    trained = run("train", "--model", "owner/tiny-bert", *TRAIN, *langs, folder=folder)
    scored = run("eval", "--langs", "qaa,qab", "--json", "-", *langs, folder=folder)
    assert [ended.code for ended in (prepared, trained, scored)] == [0, 0, 0], prepared.err + trained.err + scored.err
    (weights,) = (root / folder / ".mlsg/encoders").glob("*/model.safetensors")
    (sentences,) = (root / folder / ".mlsg/sentences").glob("*/sentences.txt")
    return Run(prepared, trained, scored, weights.read_bytes(), sentences.read_bytes())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("end-to-end")
    (root / "langs").mkdir()
    (root / "langs/qaa.toml").write_text(QAA)
    (root / "langs/qab.toml").write_text(QAB)
    with HubServer() as server:
        server.dataset("owner/texts").commit({"data/train-00000-of-00001.parquet": as_parquet(TEXTS)})
        server.dataset("owner/articles").commit(
            {
                "README.md": "---\nconfigs:\n- config_name: 2026.qaa\n  data_files:\n"
                "  - split: train\n    path: 2026.qaa/train-*\n---\n",
                "2026.qaa/train-00000-of-00002.parquet": as_parquet(ARTICLES[:30]),
                "2026.qaa/train-00001-of-00002.parquet": as_parquet(ARTICLES[30:]),
            }
        )
        files = {f"data/train-{n:05}-of-00032.parquet": as_parquet(rows, group=50) for n, rows in enumerate(LARGE)}
        server.dataset("owner/large").commit(files)
        rows = [{**pair, "lang": lang} for lang in ("qaa-qaa", "qab-qab", "qaa-qab") for pair in PAIRS]
        server.dataset("owner/pairs").commit({"test.jsonl": as_jsonl(rows), "validation.jsonl": as_jsonl(rows[:9])})
        model = tiny_bert(root / "tiny-bert")
        files = {path.name: path.read_bytes() for path in model.iterdir()}
        server.model("owner/tiny-bert").commit({**files, "pytorch_model.bin": b"cos\nsystem\n(S'exit 1'\ntR."})
        yield Place(root, server)


@pytest.fixture(scope="module")
def online(place: Place) -> Run:
    return three_commands(place.run, "online", place.root)


@pytest.fixture(scope="module")
def offline(place: Place, online: Run) -> Run:
    return three_commands(place.offline, "offline", place.root)


def test_every_language_is_scored_and_what_the_hub_lacks_is_skipped(online: Run) -> None:
    scores = online.scores
    assert {lang: entry["primary"] for lang, entry in scores["languages"].items()} == {
        "qaa": "small.qaa",
        "qab": "small.qab",
    }
    assert {entry["set"]: entry["pairs"] for entry in scores["sets"]} == {
        "small.qaa": 20,
        "small.qab": 20,
        "small.qaa-qab": 20,
    }
    (skipped,) = scores["skipped"]
    assert skipped["set"] == "gone.qab" and "owner/gone is not on http://" in skipped["why"]


def test_the_sentences_are_those_of_the_data_set(online: Run) -> None:
    assert online.sentences.decode().splitlines() == [row["text"] for row in TEXTS]


def test_no_pickle_was_asked_for(place: Place, online: Run) -> None:
    assert place.server.asked("owner/tiny-bert/resolve/.*model.safetensors")
    assert not place.server.asked(r"pytorch_model\.bin")


def test_the_revisions_are_in_the_artefacts_and_the_workspace(place: Place, online: Run) -> None:
    commit = place.server.model("owner/tiny-bert").branches["main"]
    (manifest,) = (place.root / "online/.mlsg/encoders").glob("*/artefact.json")
    assert json.loads(manifest.read_text())["fingerprints"]["base"] == f"owner/tiny-bert@{commit}"
    recorded = json.loads((place.root / "online/.mlsg/revisions.json").read_text())
    assert recorded["model"] == {"owner/tiny-bert": {"main": commit}}
    assert recorded["dataset"]["owner/texts"] == {"main": place.server.dataset("owner/texts").branches["main"]}


def test_offline_in_a_new_workspace_gives_the_same_bytes_without_a_socket(
    place: Place, online: Run, offline: Run
) -> None:
    assert offline.sentences == online.sentences
    assert offline.weights == online.weights
    assert offline.scores["languages"] == online.scores["languages"]
    assert offline.scores["sets"] == online.scores["sets"]
    assert [entry["set"] for entry in offline.scores["skipped"]] == ["gone.qab"]
    assert (place.root / "sockets.txt.watched").read_text() == "xxx", "each of the three commands must be watched"
    assert not (place.root / "sockets.txt").exists(), "somebody tried to open a socket"


def test_a_second_time_nothing_is_built_and_nobody_is_asked_for_data(place: Place, online: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in (place.root / "online/.mlsg").rglob("*") if path.is_file()}
    place.server.log.clear()
    again = three_commands(place.run, "online", place.root)
    assert again.scores == online.scores
    after = {path: path.stat().st_mtime_ns for path in (place.root / "online/.mlsg").rglob("*") if path.is_file()}
    changed = {path.name for path in before if before[path] != after.get(path)}
    assert changed <= {"last.json", "revisions.json.lock"} and len(before) == len(after)
    assert not place.server.asked("resolve")


def test_main_may_move_on_and_the_workspace_stays(place: Place, online: Run, offline: Run) -> None:
    data_set = place.server.dataset("owner/texts")
    data_set.commit({"data/train-00000-of-00001.parquet": as_parquet(TEXTS[:30])})
    kept = place.run("prepare", "--lang", "qaa", "--langs-dir", "../langs", folder="online")
    assert kept.code == 0, kept.err
    assert len(list((place.root / "online/.mlsg/sentences").glob("*/sentences.txt"))) == 1
    new = place.run("prepare", "--lang", "qaa", "--langs-dir", "../langs", folder="another")
    assert new.code == 0, new.err
    (sentences,) = (place.root / "another/.mlsg/sentences").glob("*/sentences.txt")
    assert len(sentences.read_text(encoding="utf-8").splitlines()) == 30


def test_a_streamed_corpus_is_read_and_without_a_network_says_what_to_do(place: Place) -> None:
    command = ("prepare", "--lang", "qaa", "--corpus", "encyclopedia", "--langs-dir", "../langs")
    ended = place.run(*command, folder="streamed")
    assert ended.code == 0, ended.err
    (sentences,) = (place.root / "streamed/.mlsg/sentences").glob("*/sentences.txt")
    text = sentences.read_text(encoding="utf-8")
    assert all(f"Number {n} stays." in text for n in range(60))
    ended = place.offline(*command, folder="unstreamed")
    assert ended.code == 4
    assert "owner/articles" in ended.error_line and "HF_HUB_OFFLINE is set" in ended.error_line


def large(run: Any, *more: str, corpus: str = "large", **place: str) -> Ended:
    return run(
        "prepare", "--lang", "qaa", "--corpus", corpus, "--limit", "300", "--langs-dir", "../langs", *more, **place
    )


def prepared(place: Place, folder: str) -> tuple[str, dict[str, Any]]:
    (manifest,) = (place.root / folder / ".mlsg/sentences").glob("*/artefact.json")
    found = json.loads(manifest.read_text())
    return (manifest.parent / "sentences.txt").read_text(encoding="utf-8"), {**found, "seconds": 0}


@pytest.fixture(scope="module")
def limited(place: Place) -> tuple[str, dict[str, Any], int]:
    """Sentences and manifest of a limited run that was not disturbed, and the bytes of files it took."""
    place.server.sent = 0
    ended = large(place.run, folder="limited")
    assert ended.code == 0, ended.err
    return *prepared(place, "limited"), place.server.sent


def test_a_limit_on_a_streamed_corpus_takes_a_small_share_of_it(
    place: Place, limited: tuple[str, dict[str, Any], int]
) -> None:
    text, manifest, sent = limited
    files = place.server.dataset("owner/large").commits[place.server.dataset("owner/large").branches["main"]]
    assert sent < sum(map(len, files.values())) / 10
    assert len(text.splitlines()) == 300
    rows = manifest["facts"]["read_rows"]
    assert len({each["file"] for each in rows}) == 8, "a quarter of the files"
    read = sum(each["rows"] for each in rows)
    assert 100 <= read < 500 and manifest["facts"]["kept"] == 300
    numbers = {
        (int(each["file"][11:16]), each["first"] + row) for each in rows for row in range(each["rows"])
    }  # which documents the artefact says it has read
    found = {tuple(map(int, re.findall(r"\d+", line))) for line in text.splitlines()}
    named = {pair for pair in found if len(pair) == 2}
    assert named <= numbers and len({file for file, _ in named}) == 8


def test_the_same_limit_gives_the_same_sentences_elsewhere(
    place: Place, limited: tuple[str, dict[str, Any], int]
) -> None:
    ended = large(place.run, folder="elsewhere", HF_HOME=str(place.root / "another-home"))
    assert ended.code == 0, ended.err
    assert prepared(place, "elsewhere") == limited[:2]
    other = large(place.run, "--set", "prepare.seed=5", folder="other-seed")
    assert other.code == 0, other.err
    assert prepared(place, "other-seed")[1]["facts"]["read_rows"] != limited[1]["facts"]["read_rows"]


@pytest.mark.parametrize("shards", [0, 1, 7])
def test_a_killed_run_goes_on_without_downloading_again(
    place: Place, limited: tuple[str, dict[str, Any], int], shards: int
) -> None:
    folder, dying = f"killed-{shards}", place.root / "dying"
    dying.mkdir(exist_ok=True)
    (dying / "sitecustomize.py").write_text(DYING)
    place.server.sent = 0
    ended = large(place.run, folder=folder, PYTHONPATH=f"{dying}:{REPOSITORY}", MLSG_TEST_SHARDS=str(shards))
    assert ended.code == -9, ended.err
    before = place.server.sent
    assert len(list((place.root / folder).glob(".mlsg/sentences/.*/scratch/shards/*.txt"))) == shards
    place.server.sent = 0
    place.server.log.clear()
    ended = large(place.run, folder=folder)
    assert ended.code == 0, ended.err
    assert prepared(place, folder) == limited[:2]
    footers = 8 * 20_000
    assert before + place.server.sent < limited[2] + footers + (shards == 0) * before


def test_a_limited_corpus_of_lines_stops_early_too(place: Place) -> None:
    place.server.sent = 0
    ended = large(place.run, corpus="lines", folder="lines")
    assert ended.code == 0, ended.err
    text, manifest = prepared(place, "lines")
    assert len(text.splitlines()) == 300 and manifest["facts"]["read"] < 1000
    files = place.server.dataset("owner/large").commits[place.server.dataset("owner/large").branches["main"]]
    assert place.server.sent < sum(map(len, files.values())) / 10


def test_a_limit_above_what_there_is_gives_all_of_it(place: Place) -> None:
    command = ("prepare", "--lang", "qaa", "--corpus", "encyclopedia", "--langs-dir", "../langs")
    assert place.run(*command, folder="unlimited").code == 0
    assert place.run(*command, "--limit", "100000", folder="above").code == 0
    whole, above = prepared(place, "unlimited"), prepared(place, "above")
    assert sorted(whole[0].splitlines()) == sorted(above[0].splitlines())
    assert "read_rows" not in above[1]["facts"]


def test_a_rate_limit_is_waited_for_and_the_wait_is_shown(place: Place) -> None:
    headers = {"ratelimit": '"api";r=0;t=1', "ratelimit-policy": '"fixed window";"api";q=500;w=300'}
    place.server.faults += [
        Fault("GET /api/datasets/owner/texts", status=429, headers=headers),
        Fault("GET .*owner/texts/resolve/.*parquet", status=429, headers=headers),
    ]
    began = time.monotonic()
    ended = place.run(
        "prepare", "--lang", "qaa", "--langs-dir", "../langs", folder="busy", HF_HOME=str(place.root / "busy-home")
    )
    assert ended.code == 0, ended.err
    assert not any(fault.times for fault in place.server.faults)
    assert time.monotonic() - began >= 4
    assert "the rate limit is reached; trying again in 2 s" in ended.err
    assert "Rate limited. Waiting 2.0s" in ended.err, "what huggingface_hub waits for by itself"
    place.server.faults.clear()


def test_a_hub_out_of_reach_is_one_line_within_seconds(place: Place, tmp_path: Path) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    for command in (
        ("prepare", "--lang", "qaa", "--langs-dir", "../langs"),
        ("eval", "--langs", "qaa", "--encoder", "owner/tiny-bert", "--pooling", "cls", "--langs-dir", "../langs"),
    ):
        began = time.monotonic()
        ended = place.run(*command, folder="nowhere", **nowhere)
        assert ended.code == 4
        assert "out of reach" in ended.error_line and "Connection refused" in ended.error_line
        assert time.monotonic() - began < 15
        assert not list((place.root / "nowhere").rglob("artefact.json"))
