"""`train` as a stage: what is in the key, what is in the folder, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.files import sha256_file
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import Catalog, load_catalog
from mlsg.config.recipes import Recipe, load_recipe
from mlsg.errors import DataError, DivergedError, HubUnreachableError, ModelError, SettingError
from mlsg.evaluate.encoder_ref import base_of, resolve_encoder
from mlsg.hub import Hub
from mlsg.model import backbone
from mlsg.model.encoder import Encoder
from mlsg.train import distributed, stage, train, train_job
from mlsg.train.dev import Measurement, Probe
from tests.contexts import context_of
from tests.tiny_models import SENTENCES, tiny_bert, tiny_xlmr
from tests.train.small import PAIRS, TEXT

SMALL = [
    "train.batch_size=8",
    "train.learning_rate=1e-3",
    "train.eval_steps=2",
    "objective.head_width=32",
]


@pytest.fixture(autouse=True)
def many_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "Run", partial(stage.Run, save_steps=2, max_save_share=math.inf))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    langs = tmp_path / "langs"
    langs.mkdir()
    rows = "\n".join(f"{first}\t{second}\t{score}" for first, second, score in PAIRS)
    (langs / "dev.tsv").write_text(f"sentence1\tsentence2\tscore\n{rows}\n", encoding="utf-8")
    flat = "\n".join(f"{first}\t{second}\t3" for first, second, _ in PAIRS)
    (langs / "flat.tsv").write_text(f"sentence1\tsentence2\tscore\n{flat}\n", encoding="utf-8")
    declared = "\n".join(f'[sets."mine@{name}"]\nfiles = "{name}.tsv"' for name in ("dev", "flat", "gone"))
    (langs / "xx.toml").write_text(f'code = "xx"\n{declared}', encoding="utf-8")
    return load_catalog([langs])


def sentences(workspace: Workspace, lines: list[str] | None = None) -> Artefact:
    """A finished artefact of `prepare`."""

    def make(folder: Path, scratch: Path) -> dict[str, Any]:
        (folder / "sentences.txt").write_text("".join(f"{line}\n" for line in lines or TEXT), encoding="utf-8")
        return {"lang": "xx", "corpus": "mine", "transductive": ["stsb"], "evaluation": {}, "kept": len(lines or TEXT)}

    return workspace.build(Request("sentences", 1, "xx", {"lines": len(lines or TEXT)}, {}, {}), make)


def recipe(folder: Path, *assignments: str, name: str = "zero_shot") -> Recipe:
    model = f"train.model={json.dumps(str(folder))}"
    return load_recipe(name, [model, 'train.dev="mine@dev"', *(SMALL if name == "zero_shot" else ()), *assignments])


def trained(workspace: Workspace, catalog: Catalog, wanted: Recipe, text: Artefact | None = None) -> Artefact:
    text = text or sentences(workspace)
    return train(wanted, context_of(workspace, catalog), text)


def test_a_training_gives_an_encoder_with_its_history(workspace: Workspace, catalog: Catalog, folder: Path) -> None:
    made = trained(workspace, catalog, recipe(folder))
    assert made.name == "tiny-opt3"
    assert made.stage == "encoders"
    history = json.loads((made.folder / "history.json").read_text())
    assert [entry["step"] for entry in history["measurements"]] == [0, 2, 4, 5]
    assert made.facts["steps"] == 5
    assert made.facts["sentences"] == len(TEXT)
    assert made.facts["duplicates"] == 1
    assert made.facts["best_dev"] == history["best_dev"] == max(e["dev"] for e in history["measurements"][1:])
    assert made.facts["dev_before"] == history["measurements"][0]["dev"]
    encoder = Encoder.load(made.folder)
    assert encoder.encode(["", SENTENCES[4], SENTENCES[7]]).shape == (3, 32)


def test_dev_scores_are_those_of_the_saved_encoder(workspace: Workspace, catalog: Catalog, folder: Path) -> None:
    from scipy.stats import spearmanr

    made = trained(workspace, catalog, recipe(folder))
    encoder = Encoder.load(made.folder)
    first, second = (encoder.encode([pair[side] for pair in PAIRS]) for side in (0, 1))
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert spearmanr(cosines, [score for *_, score in PAIRS]).statistic == pytest.approx(
        made.facts["best_dev"], abs=2e-3
    )


def measured_at_steps(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, catalog: Catalog, wanted: Recipe
) -> tuple[int, list[dict[str, Any]]]:
    """How often dev was measured in a training, and its history."""
    plain, calls = Probe.measure, []

    def measure(probe: Probe, *given: Any) -> Measurement:
        calls.append(probe)
        return plain(probe, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Probe, "measure", measure)
        made = trained(workspace, catalog, wanted)
    return len(calls), json.loads((made.folder / "history.json").read_text())["measurements"]


def test_the_base_is_measured_once_for_all_seeds_and_settings_of_training(
    workspace: Workspace, catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured = partial(measured_at_steps, monkeypatch)
    count, history = measured(workspace, catalog, recipe(folder))
    assert count == len(history) > 2
    for changed in ("train.seed=2", "train.learning_rate=1e-4", "objective.loss=base"):
        count, again = measured(workspace, catalog, recipe(folder, changed))
        assert count == len(again) - 1
        assert again[0] == history[0]
    second = recipe(folder, "train.seed=2")
    count, alone = measured(Workspace(tmp_path / "alone"), catalog, second)
    assert count == len(alone)
    assert (0, alone) == measured(workspace, catalog, second)
    for changed in ("encoder.pooling=mean", "encoder.layer=1", "train.precision=bf16", "train.max_length=5"):
        count, other = measured(workspace, catalog, recipe(folder, changed))
        assert count == len(other)
    assert len(workspace.artefacts("measurements")) == 5


def test_another_base_or_dev_set_is_measured_anew(
    workspace: Workspace, catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured_at_steps(monkeypatch, workspace, catalog, recipe(folder))
    other = recipe(tiny_bert(tmp_path / "other" / "tiny", seed=5))
    count, history = measured_at_steps(monkeypatch, workspace, catalog, other)
    assert count == len(history)
    dev = tmp_path / "langs" / "dev.tsv"
    dev.write_text(dev.read_text(encoding="utf-8").replace("\t5.0\n", "\t4.5\n"), encoding="utf-8")
    count, history = measured_at_steps(monkeypatch, workspace, catalog, recipe(folder))
    assert count == len(history)
    assert len(workspace.artefacts("measurements")) == 3


def test_provenance_says_where_it_comes_from_and_holds_no_path(
    workspace: Workspace, catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    text = sentences(workspace)
    made = trained(workspace, catalog, recipe(folder), text)
    told = json.loads((made.folder / "mlsg.json").read_text())
    assert told["base"]["name"] == "tiny"
    assert told["base"]["fingerprint"].startswith("sha256:")
    assert told["objective"]["loss"] == "opt3"
    assert told["objective"]["temperature"] == 0.01
    assert told["train"]["learning_rate"] == 1e-3
    assert told["sentences"] == {
        "sha256": sha256_file(text.folder / "sentences.txt"),
        "lang": "xx",
        "corpus": "mine",
        "kept": len(TEXT),
        "transductive": ["stsb"],
        "evaluation": {},
    }
    for path in made.folder.rglob("*"):
        if path.is_file() and path.name != "artefact.json":
            assert str(tmp_path).encode() not in path.read_bytes(), path
            assert str(folder).encode() not in path.read_bytes(), path


def test_a_base_that_was_named_from_here_is_found_from_anywhere(
    workspace: Workspace, catalog: Catalog, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    made = trained(workspace, catalog, recipe(Path(folder.name), "train.max_steps=1"))
    monkeypatch.chdir(tmp_path)
    base = base_of(resolve_encoder(made, None, workspace, Hub.from_environment(workspace.root)), "mean")
    assert base.load("float32", Hub.from_environment(workspace.root)).pooling == "mean"


def test_the_same_training_elsewhere_gives_the_same_bytes(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    contents = []
    for number in (1, 2):
        moved = tmp_path / str(number) / "tiny"
        shutil.copytree(folder, moved)
        made = trained(Workspace(tmp_path / f"workspace-{number}"), catalog, recipe(moved))
        files = {p.relative_to(made.folder).as_posix(): p.read_bytes() for p in made.folder.rglob("*") if p.is_file()}
        files.pop("artefact.json")
        contents.append((made.key, files))
    assert contents[0] == contents[1]


def test_nothing_is_trained_twice_and_no_torch_is_needed_to_know(
    workspace: Workspace, catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    made = trained(workspace, catalog, recipe(folder))
    stamp = (made.folder / "artefact.json").stat().st_mtime_ns
    code = f"""
import sys
from pathlib import Path
from mlsg.config.catalog import load_catalog
from mlsg.config.recipes import load_recipe
from mlsg.train import train
from mlsg.cache.artefact import open_artefact
from mlsg.cache.workspace import Workspace
catalog = load_catalog([Path({str(tmp_path / "langs")!r})])
from tests.contexts import context_of
context = context_of(Workspace(Path({str(workspace.root)!r})), catalog)
text = open_artefact(Path({str(sentences(workspace).folder)!r}))
recipe = load_recipe("zero_shot", {[f'train.model="{folder}"', 'train.dev="mine@dev"', *SMALL]!r})
made = train(recipe, context, text)
assert made.key == {made.key!r}, made.key
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (made.folder / "artefact.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "change",
    ["train.seed=2", "objective.loss=opt2", "encoder.pooling=mean", "train.dev=none", "train.precision=bf16"],
)
def test_what_can_change_the_result_changes_the_key(
    change: str, workspace: Workspace, catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(*assignments: str) -> str:
        requests: list[Request] = []
        monkeypatch.setattr(Workspace, "build", lambda self, request, make, **_: requests.append(request))
        train(recipe(folder, *assignments), context_of(workspace, catalog), text)
        return requests[0].key

    text = sentences(workspace)
    assert key(change) != key() == key("train.epochs=1") == key("prepare.limit=7") == key("eval.seed=3")


def test_the_number_of_processes_is_in_the_key_only_where_masks_are_not_drawn_by_sentence(
    workspace: Workspace, catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, context = sentences(workspace), context_of(workspace, catalog)

    def keys() -> list[str]:
        return [train_job(recipe(folder), context, text, processes).request.key for processes in (1, 2, 3)]

    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    one, *more = keys()
    assert more == [one, one]
    with monkeypatch.context() as patch:
        patch.setattr(backbone, "masks_by_sentence", lambda *_: False)
        assert keys()[0] == one
        assert len(set(keys())) == 3
    monkeypatch.setattr(distributed, "uses_gpus", lambda: True)
    assert keys()[0] == one
    assert len(set(keys())) == 3


def test_other_sentences_or_another_base_change_the_key(
    workspace: Workspace, catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    other = tiny_bert(tmp_path / "tiny", seed=1)
    keys = {
        trained(workspace, catalog, recipe(folder, "train.max_steps=1")).key,
        trained(workspace, catalog, recipe(other, "train.max_steps=1")).key,
        trained(workspace, catalog, recipe(folder, "train.max_steps=1"), sentences(workspace, TEXT[:20])).key,
    }
    assert len(keys) == 3


def test_the_key_follows_the_text_and_not_what_it_was_compared_with(
    workspace: Workspace, catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text_of(compared: dict[str, Any], lines: list[str] = TEXT, **facts: Any) -> Artefact:
        def make(place: Path, scratch: Path) -> dict[str, Any]:
            (place / "sentences.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            return {"lang": "xx", "corpus": "mine", "transductive": [], "evaluation": compared, **facts}

        settings = {"compared": list(compared), "lines": len(lines), **facts}
        return workspace.build(Request("sentences", 2, "xx", settings, {}, {}), make)

    wanted, before = recipe(folder, "train.max_steps=1"), text_of({})
    first = trained(workspace, catalog, wanted, before)
    later = text_of({"pairs.xx": {"kept": 0, "dropped": 0, "fingerprint": "ab"}})
    assert later.key != before.key
    monkeypatch.setattr(stage, "make_encoder", None)
    assert trained(workspace, catalog, wanted, later) == first
    context = context_of(workspace, catalog)
    others = [text_of({}, TEXT[1:]), text_of({}, corpus="other"), text_of({}, transductive=["stsb"])]
    keys = {train_job(wanted, context, each).request.key for each in others}
    assert len(keys | {first.key}) == 4


def test_a_base_copied_under_another_name_is_the_same_base(
    workspace: Workspace, catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(folder, tmp_path / "another name")
    text, context = sentences(workspace), context_of(workspace, catalog)
    assert train_job(recipe(copied), context, text).request.key == train_job(recipe(folder), context, text).request.key


def test_the_best_of_a_resumed_stage_is_the_same_artefact(
    catalog: Catalog, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlsg.train import loop

    whole = trained(Workspace(tmp_path / "a"), catalog, recipe(folder))
    plain, calls = loop._Loop._step, iter(range(100))

    def broken(self: Any) -> Any:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return plain(self)

    monkeypatch.setattr(loop._Loop, "_step", broken)
    with pytest.raises(KeyboardInterrupt):
        trained(Workspace(tmp_path / "b"), catalog, recipe(folder))
    assert Workspace(tmp_path / "b").artefacts("encoders") == []
    again = trained(Workspace(tmp_path / "b"), catalog, recipe(folder))
    assert again.manifest["files"] == whole.manifest["files"]
    assert again.facts == whole.facts


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_untuned_is_the_base_with_its_pooling_and_needs_no_text(
    pooling: str, workspace: Workspace, catalog: Catalog, folder: Path
) -> None:
    made = train(recipe(folder, name=pooling), context_of(workspace, catalog), None)
    assert made.name == "tiny-untuned"
    assert made.inputs == {}
    assert not (made.folder / "history.json").exists()
    same = Encoder.load(folder, pooling=pooling).encode(SENTENCES[:5])
    assert np.allclose(Encoder.load(made.folder).encode(SENTENCES[:5]), same, atol=1e-6)


def test_untuned_does_not_depend_on_settings_of_training(workspace: Workspace, catalog: Catalog, folder: Path) -> None:
    keys = {
        train(recipe(folder, change, name="cls"), context_of(workspace, catalog), None).key
        for change in ("train.seed=1", "train.seed=2", "train.batch_size=4")
    }
    assert len(keys) == 1


def test_an_encoder_from_a_lower_layer_is_trained_and_saved_as_a_shorter_model(
    workspace: Workspace, catalog: Catalog, folder: Path
) -> None:
    made = trained(workspace, catalog, recipe(folder, "encoder.pooling=mean", "encoder.layer=1"))
    assert json.loads((made.folder / "config.json").read_text())["num_hidden_layers"] == 1
    assert json.loads((made.folder / "mlsg.json").read_text())["encoder"]["base_layers"] == 2
    before = Encoder.load(folder, pooling="mean", layer=1).encode(SENTENCES[:4])
    assert not np.allclose(Encoder.load(made.folder).encode(SENTENCES[:4]), before, atol=1e-4)


def test_frozen_embeddings_are_saved_as_they_were(workspace: Workspace, catalog: Catalog, folder: Path) -> None:
    from safetensors.numpy import load_file

    made = load_file(trained(workspace, catalog, recipe(folder)).folder / "model.safetensors")
    before = load_file(folder / "model.safetensors")
    assert made.keys() == before.keys()
    for name in made:
        assert np.array_equal(made[name], before[name]) == name.startswith("embeddings."), name


def test_sentencepiece_models_go_through_the_stage(workspace: Workspace, catalog: Catalog, tmp_path: Path) -> None:
    made = trained(workspace, catalog, recipe(tiny_xlmr(tmp_path / "xlmr")))
    assert Encoder.load(made.folder).encode(["Ağaç", "猫"]).shape == (2, 32)


def test_dev_none_saves_the_last_weights(workspace: Workspace, catalog: Catalog, folder: Path) -> None:
    made = trained(workspace, catalog, recipe(folder, "train.dev=none"))
    assert made.facts["best_dev"] is None
    assert made.facts["steps"] == 5


@pytest.mark.parametrize(
    ("change", "kind", "word"),
    [
        ("objective.loss=opt9", SettingError, "opt9"),
        ("objective.name=self_guide", SettingError, "self_guide"),
        ("objective.layers=[0,7]", SettingError, "layers 0 to 2"),
        ("encoder.layer=5", SettingError, "layer"),
        ("encoder.layer=0", SettingError, "nothing to train"),
        ("encoder.pooling=flow", SettingError, "flow"),
        ("train.dev=stsb.xx", SettingError, "stsb.xx"),
        ("train.dev=mine@flat", DataError, "same score"),
        ("train.dev=mine@gone", HubUnreachableError, "train.dev=none"),
        ("train.model=/nowhere/at/all", ModelError, "/nowhere/at/all"),
        ("train.learning_rate=1e6", DivergedError, "train.learning_rate"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_no_artefact(
    change: str, kind: type[Exception], word: str, workspace: Workspace, catalog: Catalog, folder: Path
) -> None:
    with pytest.raises(kind) as caught:
        trained(workspace, catalog, recipe(folder, change, "train.epochs=4"))
    assert word in str(caught.value)
    assert workspace.artefacts("encoders") == []


def test_one_sentence_is_too_few(workspace: Workspace, catalog: Catalog, folder: Path) -> None:
    with pytest.raises(DataError, match="at least two"):
        trained(workspace, catalog, recipe(folder), sentences(workspace, [SENTENCES[0]]))


def test_a_launcher_that_does_not_say_which_process_this_is_is_refused(
    workspace: Workspace, catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SettingError, match="RANK is not"):
        trained(workspace, catalog, recipe(folder))


def test_training_without_sentences_says_what_to_run(workspace: Workspace, catalog: Catalog, folder: Path) -> None:
    with pytest.raises(SettingError, match="mlsg prepare"):
        train(recipe(folder), context_of(workspace, catalog), None)


def test_every_recipe_of_this_method_trains(workspace: Workspace, catalog: Catalog, folder: Path) -> None:
    keys = set()
    for name in ("zero_shot", "authors_code", "sg", "opt1", "opt2"):
        wanted = load_recipe(
            name, [f'train.model="{folder}"', 'train.dev="mine@dev"', "objective.head_width=32", "train.max_steps=2"]
        )
        keys.add(trained(workspace, catalog, wanted).key)
    assert len(keys) == 5
