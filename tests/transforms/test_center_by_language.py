"""Centring by language from prepared text of two languages to a saved encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from mlsg.api import load_recipe, run_prepare, run_train
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import load_catalog
from mlsg.errors import DataError
from mlsg.model.encoder import Encoder
from tests.contexts import context_of
from tests.tiny_models import tiny_bert

_TEXTS = {
    "en": ["The ferry leaves the island before the first light.", "Two girls are painting the old fence blue."],
    "ru": ["Старая лодка стоит у берега.", "Девочка рисует красный дом."],
}


@pytest.fixture
def langs(tmp_path: Path) -> Path:
    for code, lines in _TEXTS.items():
        (tmp_path / f"{code}.txt").write_text("\n".join(lines) + "\n", "utf-8")
        (tmp_path / f"{code}.toml").write_text(f'code = "{code}"\n[corpora.own]\nfiles = "{code}.txt"\n', "utf-8")
    return tmp_path


def test_each_languages_vectors_have_mean_0_after_loading(
    langs: Path, tmp_path_factory: pytest.TempPathFactory, workspace: Workspace
) -> None:
    base = tiny_bert(tmp_path_factory.mktemp("base"))
    settings = {"train__model": str(base), "prepare__lang": "en,ru", "prepare__corpus": "own"}
    recipe = load_recipe("center", transform__by="language", **settings)
    context = context_of(workspace, load_catalog([langs]))
    made = run_train(recipe, context, run_prepare(recipe, context))
    encoder = Encoder.load(made.folder, device="cpu")
    plain = Encoder.load(base, pooling="mean", device="cpu")
    for lines in _TEXTS.values():
        vectors = plain.encode(lines)
        np.testing.assert_allclose(encoder.encode(lines), vectors - vectors.mean(0), atol=1e-5)
    card = (made.folder / "README.md").read_text("utf-8")
    assert "sentence-transformers has no centring by language" in card
    with pytest.raises(Exception, match="NearestMean"):
        SentenceTransformer(str(made.folder), device="cpu")


def test_text_of_one_language_is_refused(
    langs: Path, tmp_path_factory: pytest.TempPathFactory, workspace: Workspace
) -> None:
    base = tiny_bert(tmp_path_factory.mktemp("base"))
    recipe = load_recipe(
        "center", transform__by="language", train__model=str(base), prepare__lang="en", prepare__corpus="own"
    )
    context = context_of(workspace, load_catalog([langs]))
    with pytest.raises(DataError, match="the text is of one"):
        run_train(recipe, context, run_prepare(recipe, context))
