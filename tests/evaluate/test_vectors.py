"""Vectors on disk: found by encoder, precision and text; results do not tell what was found; damage is repaired."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlsg.cache import versions
from mlsg.cache.files import sha256_file
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import Catalog
from mlsg.config.recipes import EvalSettings
from mlsg.evaluate import evaluate
from mlsg.evaluate.encoder_ref import EncoderRef
from mlsg.evaluate.vectors import Rows, VectorStore, digest, keep_to_limit
from mlsg.model.backbone import Backbone
from tests.cache.damages import DAMAGES, damage_file
from tests.contexts import context_of
from tests.evaluate.small_sets import pairs, small_catalog
from tests.tiny_models import tiny_bert

TEXTS = ["", "a", "Cafe\u0301", "Café", "猫 🦉", "\ud800 broken", "x" * 5000]
ALL = EvalSettings(langs=("aa",))


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return small_catalog(tmp_path_factory.mktemp("sets"))


def store(root: Path, **changes: str) -> VectorStore:
    precision = changes.pop("precision", "float32")
    return VectorStore(root, replace(EncoderRef("tiny", ("tiny",), "sha256:abc", pooling="mean"), **changes), precision)


def rows(count: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 5)).astype(np.float32)
    return Rows(vectors, rng.random(count) < 0.5, rng.integers(0, 9, count), np.ones(count, dtype=bool))


def test_what_a_killed_writer_left_is_gone_after_the_next(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.add(TEXTS[:2], rows(2))
    kept.note_facts({"dimension": 5})
    whole = sorted(path.name for path in kept.folder.iterdir())
    for again in (lambda: kept.add(TEXTS[:2], rows(2)), lambda: kept.note_facts({"dimension": 5})):
        for name in whole:
            (kept.folder / f".{name}").write_bytes(b"")
            (kept.folder / f".{name}.3b4faba5").write_bytes(b"half")
        again()
        assert sorted(path.name for path in kept.folder.iterdir()) == whole


def test_what_was_added_is_found_and_nothing_else(tmp_path: Path) -> None:
    kept, given = store(tmp_path), rows(len(TEXTS))
    kept.add(TEXTS[:4], given.of([0, 1, 2, 3]))
    kept.add(TEXTS[4:], given.of([4, 5, 6]))
    order = [6, 2, 0, 3, 5, 1, 4]
    found = store(tmp_path).find(["new", *(TEXTS[n] for n in order)], 5)
    assert found.known.tolist() == [False, *[True] * 7]
    assert np.array_equal(found.vectors[1:], given.vectors[order])
    assert found.truncated[1:].tolist() == given.truncated[order].tolist()
    assert found.unknown[1:].tolist() == given.unknown[order].tolist()
    assert len({digest(text) for text in TEXTS}) == len(TEXTS)


def test_another_encoder_pooling_or_precision_has_its_own(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.add(TEXTS, rows(len(TEXTS)))
    for other in (store(tmp_path, key="sha256:x"), store(tmp_path, pooling="cls"), store(tmp_path, precision="bf16")):
        assert not other.find(TEXTS, 5).known.any()


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_file_is_reported_and_removed(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = store(tmp_path)
    kept.add(TEXTS[:2], rows(2))
    kept.add(TEXTS[2:4], rows(2, seed=1))
    path = sorted(kept.folder.glob("*.npy"))[0]
    content = bytearray(path.read_bytes())
    content[len(content) - 9] ^= 1
    path.write_bytes({"cut": content[:-7], "flipped": content, "emptied": b""}[damage])
    assert kept.find(TEXTS[:4], 5).known.sum() == 2
    assert "damaged vectors" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_facts_of_an_encoder_are_as_good_as_none(tmp_path: Path, kind: str) -> None:
    kept = store(tmp_path)
    facts = {"pooling": "mean", "layer": 12, "dimension": 768}
    for seed in range(20):
        kept.note_facts(facts)
        assert kept.facts() == facts
        damage_file(kept.folder / "encoder.json", kind, 100 * seed)
        assert kept.facts() is None


@pytest.mark.parametrize("library", ["torch", "transformers", "tokenizers", "numpy"])
def test_vectors_and_scores_of_other_versions_are_not_used(
    library: str, base: Path, tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(base, tmp_path, catalog)
    counts = count_encoded(monkeypatch)
    run(base, tmp_path, catalog)
    assert counts == []
    installed = versions._version
    monkeypatch.setattr(versions, "_version", lambda name: "0.0.1" if name == library else installed(name))
    run(base, tmp_path, catalog)
    assert len(counts) == 1
    assert len(Workspace(tmp_path).artefacts("scores")) == 2


def test_past_the_limit_the_longest_unread_go_first(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for number in range(4):
        kept.add([f"text {number}"], rows(1, seed=number))
    for age, path in enumerate(sorted(kept.folder.glob("*.npy"))):
        os.utime(path, ns=(10**18 + age, 10**18 + age))
    size = path.stat().st_size
    oldest = sorted(kept.folder.glob("*.npy"))[0]
    first = next(n for n in range(4) if digest(f"text {n}") in oldest.read_bytes())
    kept.find([f"text {first}"], 5)  # reading makes it young
    keep_to_limit(tmp_path / "vectors", 2 * size)
    left = [kept.find([f"text {n}"], 5).known[0] for n in range(4)]
    assert sum(left) == 2
    assert left[first]


def run(
    base: Path, root: Path, catalog: Catalog, settings: EvalSettings = ALL, pooling: str = "mean"
) -> dict[str, str]:
    """Bytes of all that an evaluation leaves, without what holds seconds."""
    scores = evaluate(str(base), settings, context_of(Workspace(root), catalog), pooling=pooling)
    files = sorted(scores.artefact.folder.iterdir())
    return {path.name: sha256_file(path) for path in files if path.name != "artefact.json"}


def count_encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sentences a pass, by each pass over a base from now on."""
    counts: list[int] = []
    tokenize = Backbone.tokenize

    def counted(self: Backbone, texts: list[str], *more: int) -> object:
        if texts[:1] != ["1"]:  # the trials of a base that is loaded
            counts.append(len(texts))
        return tokenize(self, texts, *more)

    monkeypatch.setattr(Backbone, "tokenize", counted)
    return counts


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_results_are_the_same_bytes_whatever_was_there(
    base: Path, tmp_path: Path, catalog: Catalog, precision: str
) -> None:
    settings = replace(ALL, precision=precision)
    cold = run(base, tmp_path / "cold", catalog, settings)
    run(base, tmp_path / "warm", catalog, settings)
    for path in (tmp_path / "warm/scores").iterdir():
        path.rename(tmp_path / path.name)
    _keep_a_third(tmp_path / "warm")
    assert run(base, tmp_path / "warm", catalog, settings) == cold


def _keep_a_third(root: Path) -> None:
    """Leave every third vector of each file, so that the rest is computed in other company."""
    for path in sorted((root / "vectors").glob("*/*.npy")):
        table = np.load(path)[::3]
        path.unlink()
        third = store(root)
        third.__dict__["folder"] = path.parent
        given = Rows(table["vector"], table["truncated"], table["unknown"].astype(np.int64), np.ones(len(table), bool))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules["mlsg.evaluate.vectors"], "digest", lambda text: text)
            third.add(table["text"].tolist(), given)


def test_only_new_sentences_are_encoded_and_the_base_in_one_pass(
    base: Path, tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_encoded(monkeypatch)
    run(base, tmp_path, catalog)
    assert len(counts) == 1  # mean, and base_cls and base_mean with it
    run(base, tmp_path, catalog, pooling="max")
    assert len(counts) == 2
    for path in (tmp_path / "scores").iterdir():
        path.rename(tmp_path / path.name)
    run(base, tmp_path, catalog, pooling="max")
    assert len(counts) == 2
    next((tmp_path / "vectors").glob("*/*.npy")).unlink()
    for path in (tmp_path / "scores").iterdir():
        path.rename(tmp_path / f"again-{path.name}")
    run(base, tmp_path, catalog, pooling="max")
    assert len(counts) == 3


def test_vectors_that_are_there_need_no_torch(base: Path, tmp_path: Path, catalog: Catalog) -> None:
    run(base, tmp_path / "w", catalog)
    (tmp_path / "w/scores").rename(tmp_path / "scores")
    code = f"""
import sys
from pathlib import Path
from mlsg.config.catalog import load_catalog
from mlsg.evaluate import evaluate
from mlsg.config.recipes import EvalSettings
from mlsg.cache.workspace import Workspace
from tests.contexts import context_of
catalog = load_catalog([Path({catalog.pair_set("small.aa").root!r})])
context = context_of(Workspace(Path({str(tmp_path / "w")!r})), catalog)
evaluate({str(base)!r}, EvalSettings(langs=("aa",)), context, pooling="mean")
print(sorted({{"torch", "transformers"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_killed_evaluation_goes_on(
    base: Path, tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(base, tmp_path / "whole", catalog)
    monkeypatch.setattr(sys.modules["mlsg.evaluate.encoding"], "_KEPT_AT_ONCE", 5)
    add, kept = VectorStore.add, []

    def killed(self: VectorStore, texts: list[str], given: Rows) -> None:
        if len(kept) >= 4:
            raise KeyboardInterrupt
        kept.append(len(texts))
        add(self, texts, given)

    with monkeypatch.context() as patch:
        patch.setattr(VectorStore, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            run(base, tmp_path / "killed", catalog)
    counts = count_encoded(monkeypatch)
    assert run(base, tmp_path / "killed", catalog) == expected
    assert 0 < counts[0] < len({text for a, b, _ in pairs() for text in (a, b)})


def test_two_processes_at_once_leave_whole_files(base: Path, tmp_path: Path, catalog: Catalog) -> None:
    code = f"""
import sys
from pathlib import Path
import numpy as np
from tests.evaluate.test_vectors import rows, store
kept = store(Path({str(tmp_path)!r}))
for n in range(30):
    kept.add([f"text {{n}}"], rows(1, seed=n))
    assert kept.find([f"text {{n}}"], 5).known.all()
"""
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) for _ in range(2)]
    assert [process.wait(60) for process in started] == [0, 0]
    texts = [f"text {n}" for n in range(30)]
    found = store(tmp_path).find(texts, 5)
    assert found.known.all()
    assert np.array_equal(found.vectors, np.concatenate([rows(1, seed=n).vectors for n in range(30)]))
    assert not list(tmp_path.rglob(".*.npy.*"))


def test_the_speed_of_the_last_encoding_is_kept(tmp_path: Path) -> None:
    kept = store(tmp_path)
    assert kept.speed() is None
    kept.note_speed(12.5)
    assert store(tmp_path).speed() == 12.5
    (kept.folder / "speed.json").write_text("{", "utf-8")
    kept.find(TEXTS, 5)
    assert not (kept.folder / "speed.json").exists()
