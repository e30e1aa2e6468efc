"""Every recipe that comes with mlsg is run: a few steps on a tiny base, saved, and loaded by sentence-transformers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from mlsg import objectives
from mlsg.api import load_recipe, needs_text, run_prepare, run_train
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import load_catalog
from mlsg.config.recipes import COLUMNS, recipe_names
from mlsg.errors import SettingError
from mlsg.model.encoder import Encoder
from tests.contexts import context_of
from tests.tiny_models import SENTENCES, tiny_bert

RECIPES = [name for name in recipe_names() if name != "starter"]
_TEXTS = [f"{a} {b}" for a, b in itertools.islice(itertools.permutations(SENTENCES, 2), 0, 600, 5)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


def written(kind: str, folder: Path) -> Path:
    """Text of a kind that is not evaluation text."""
    columns = COLUMNS[kind]  # type: ignore[index]
    if kind in ("sentences", "documents"):
        rows = [" ".join(_TEXTS[n : n + 12]) for n in range(0, 60, 4)] if kind == "documents" else _TEXTS
        (folder / "text.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
        return folder / "text.txt"
    texts = len(columns) - (kind == "scored_pairs")
    lines = ["\t".join(_TEXTS[(n + 5 * k) % len(_TEXTS)] for k in range(texts)) for n in range(len(_TEXTS))]
    if kind == "scored_pairs":
        lines = [f"{line}\t{n % 6}" for n, line in enumerate(lines)]
    (folder / "text.tsv").write_text("\n".join(["\t".join(columns), *lines]) + "\n", encoding="utf-8")
    return folder / "text.tsv"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_makes_an_encoder_that_others_can_load(
    name: str, base: Path, workspace: Workspace, tmp_path: Path
) -> None:
    changes: dict[str, object] = {"train__model": str(base), "prepare__corpus": "", "prepare__lang": "en"}
    trains = objectives.read(load_recipe(name).objective).trains
    if trains:
        changes |= {"train__max_steps": 3, "train__dev": "none", "train__batch_size": 4, "train__mini_batch_size": 2}
    if name == "declutr":
        changes |= {"objective__max_span": 24, "objective__min_span": 6}
    recipe, context = load_recipe(name, **changes), context_of(workspace, load_catalog())
    text = run_prepare(recipe, context, [written(recipe.prepare.kind, tmp_path)]) if needs_text(recipe) else None
    made = run_train(recipe, context, text)
    assert made.facts["steps"] == (3 if trains else 0)
    found = Encoder.load(made.folder, device="cpu").encode(SENTENCES)
    assert np.isfinite(found).all()
    assert len(np.unique(found.round(6), axis=0)) == len(SENTENCES)
    if name in ("flow", "wk"):  # sentence-transformers has neither, and says so
        with pytest.raises(Exception, match=r"(?i)flow|wk"):
            SentenceTransformer(str(made.folder), device="cpu")
        return
    theirs = SentenceTransformer(str(made.folder), device="cpu").encode(SENTENCES)
    np.testing.assert_allclose(found, theirs, atol=2e-4, rtol=1e-3)


def test_an_objective_refuses_text_of_another_kind(base: Path, workspace: Workspace, tmp_path: Path) -> None:
    recipe, context = load_recipe("simcse", train__model=str(base)), context_of(workspace, load_catalog())
    pairs = load_recipe("sg_bt", train__model=str(base))
    text = run_prepare(recipe, context, [written("sentences", tmp_path)])
    with pytest.raises(
        SettingError, match=r"sg_bt is trained on pairs, .* is sentences; run mlsg prepare --kind pairs"
    ):
        run_train(pairs, context, text)


def test_documents_too_short_for_spans_are_dropped_and_counted(
    base: Path, workspace: Workspace, tmp_path: Path
) -> None:
    given = {"train__model": str(base), "train__dev": "none", "train__max_steps": 1, "prepare__lang": "en"}
    recipe = load_recipe("declutr", objective__max_span=24, objective__min_span=6, train__batch_size=4, **given)
    context, path = context_of(workspace, load_catalog()), written("documents", tmp_path)
    path.write_text(path.read_text("utf-8") + "A short document of few words.\n", "utf-8")
    text = run_prepare(recipe, context, [path])
    made = run_train(recipe, context, text)
    assert made.facts["too_short"] == 1
    assert made.facts["sentences"] == text.facts["kept"] - 1


@pytest.mark.parametrize("pooling", ["sif", "wk"])
def test_poolings_that_are_not_trained_under_say_so(
    pooling: str, base: Path, workspace: Workspace, tmp_path: Path
) -> None:
    recipe = load_recipe("zero_shot", train__model=str(base), encoder__pooling=pooling, train__dev="none")
    context = context_of(workspace, load_catalog())
    text = run_prepare(recipe, context, [written("sentences", tmp_path)])
    with pytest.raises(SettingError, match="not trained under"):
        run_train(recipe, context, text)
