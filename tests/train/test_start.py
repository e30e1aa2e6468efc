"""Training from a sentence-transformers folder: pooling and prompt are its own unless set, what is left out is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import Catalog, load_catalog
from mlsg.config.recipes import EncoderSettings, load_recipe
from mlsg.errors import MlsgError, SettingError
from mlsg.model.encoder import Encoder
from mlsg.report.output import print_encoder
from mlsg.train.start import start_in
from tests.tiny_models import SENTENCES, tiny_bert
from tests.train.small import PAIRS, TEXT
from tests.train.test_stage import catalog, recipe, sentences, trained  # noqa: F401 - a fixture

QUERY = "query: "
FEW = ("train.max_steps=3",)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


def theirs(plain: Path, folder: Path, pooling: str = "mean", *following: Any, **prompts: Any) -> Path:
    """A folder that sentence-transformers has written."""
    torch.manual_seed(0)
    modules = [Transformer(str(plain)), Pooling(32, pooling), *following]
    SentenceTransformer(modules=modules, device="cpu", **prompts).save(str(folder))
    return folder


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_the_pooling_is_that_of_the_folder_unless_it_is_set(
    pooling: str,
    plain: Path,
    workspace: Workspace,
    catalog: Catalog,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = theirs(plain, tmp_path / "st", pooling)
    own = trained(workspace, catalog, recipe(folder, *FEW))
    assert Encoder.load(own.folder).pooling == pooling
    same = trained(workspace, catalog, recipe(plain, f"encoder.pooling={pooling}", *FEW))
    found, expected = weights(own.folder), weights(same.folder)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    other = "max" if pooling == "mean" else "mean"
    assert (
        Encoder.load(trained(workspace, catalog, recipe(folder, f"encoder.pooling={other}", *FEW)).folder).pooling
        == other
    )


def test_a_plain_model_is_pooled_by_cls(plain: Path) -> None:
    assert start_in(plain, EncoderSettings()).encoder.pooling == "cls"
    assert start_in(plain, EncoderSettings()).dropped == ()


def test_untuned_keeps_the_pooling_too(plain: Path, workspace: Workspace, catalog: Catalog, tmp_path: Path) -> None:  # noqa: F811
    folder = theirs(plain, tmp_path / "st", "max", prompts={"q": QUERY}, default_prompt_name="q")
    made = trained(workspace, catalog, load_recipe("zero_shot", [f'train.model="{folder}"', "objective.name=untuned"]))
    expected = SentenceTransformer(str(folder), device="cpu").encode(list(SENTENCES))
    np.testing.assert_allclose(Encoder.load(made.folder).encode(SENTENCES), expected, atol=1e-5)


@pytest.fixture
def prompted(tmp_path: Path) -> Catalog:
    """The catalog of `catalog`, its dev set with the prompt already in every sentence."""
    langs = tmp_path / "prompted"
    langs.mkdir()
    rows = "\n".join(f"{QUERY}{first}\t{QUERY}{second}\t{score}" for first, second, score in PAIRS)
    (langs / "dev.tsv").write_text(f"sentence1\tsentence2\tscore\n{rows}\n", encoding="utf-8")
    (langs / "xx.toml").write_text('code = "xx"\n[sets."mine@dev"]\nfiles = "dev.tsv"', encoding="utf-8")
    return load_catalog([langs])


@pytest.mark.parametrize("way", ["default", "name", "text"])
def test_a_prompt_stands_before_every_sentence_of_training_and_dev_and_is_kept(
    way: str,
    plain: Path,
    workspace: Workspace,
    catalog: Catalog,  # noqa: F811
    prompted: Catalog,
    tmp_path: Path,
) -> None:
    names = {"default": {"default_prompt_name": "query"}}.get(way, {})
    folder = theirs(plain, tmp_path / "st", prompts={"query": QUERY, "passage": "passage: "}, **names)
    settings = {"default": (), "name": ("encoder.prompt_name=query",), "text": (f'encoder.prompt="{QUERY}"',)}[way]
    made = trained(workspace, catalog, recipe(folder, *FEW, *settings))
    elsewhere = Workspace(tmp_path / "other")
    written = sentences(elsewhere, [QUERY + line for line in TEXT])
    same = trained(elsewhere, prompted, recipe(folder, *FEW, 'encoder.prompt=""'), written)
    found, expected = weights(made.folder), weights(same.folder)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert made.facts["dev_before"] == same.facts["dev_before"]
    assert made.facts["prompt"] == QUERY and same.facts["prompt"] == ""
    ours = SentenceTransformer(str(made.folder), device="cpu")
    assert (ours.default_prompt_name, ours.prompts["query"], ours.prompts["passage"]) == ("query", QUERY, "passage: ")
    np.testing.assert_allclose(Encoder.load(made.folder).encode(SENTENCES), ours.encode(list(SENTENCES)), atol=1e-5)
    assert SentenceTransformer(str(same.folder), device="cpu").default_prompt_name is None


def test_another_prompt_is_another_training_with_views_of_its_own(
    plain: Path,
    workspace: Workspace,
    catalog: Catalog,  # noqa: F811
) -> None:
    with_prompts = [f"encoder.prompt={json.dumps(prompt)}" for prompt in ("", "a ", "query: ")]
    made = [trained(workspace, catalog, recipe(plain, *FEW, each)) for each in with_prompts]
    assert len({each.key for each in made}) == 3
    found = [weights(each.folder)["encoder.layer.0.output.dense.weight"] for each in made]
    assert not np.array_equal(found[0], found[1]) and not np.array_equal(found[1], found[2])
    assert len({each.facts["dev_before"] for each in made}) == 3


def test_a_base_that_does_not_pool_its_prompt_is_refused_with_a_prompt(plain: Path, tmp_path: Path) -> None:
    """Training pools every token; mlsg's own reading of such a folder does not."""
    torch.manual_seed(0)
    modules = [Transformer(str(plain)), Pooling(32, "mean", include_prompt=False)]
    model = SentenceTransformer(modules=modules, device="cpu", prompts={"q": QUERY}, default_prompt_name="q")
    model.save(str(tmp_path / "st"))
    with pytest.raises(MlsgError, match="include_prompt"):
        start_in(tmp_path / "st", EncoderSettings())


def test_what_follows_the_pooling_is_left_out_and_the_output_and_the_card_say_so(
    plain: Path,
    workspace: Workspace,
    catalog: Catalog,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = theirs(
        plain, tmp_path / "st", "mean", Dense(32, 16), Normalize(), prompts={"q": QUERY}, default_prompt_name="q"
    )
    made = trained(workspace, catalog, recipe(folder, *FEW))
    assert Encoder.load(made.folder).dimension == 32
    print_encoder(made)
    told = capsys.readouterr().err
    card = (made.folder / "README.md").read_text(encoding="utf-8")
    for text in (told, card):
        assert "Dense, Normalize" in text
        assert QUERY.strip() in text
    assert json.loads((made.folder / "mlsg.json").read_text())["dropped"] == ["Dense", "Normalize"]
    bare = trained(workspace, catalog, recipe(plain, *FEW))
    print_encoder(bare)
    assert "left out" not in capsys.readouterr().err
    assert "left out of the base" not in (bare.folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("encoder.prompt_name=quary",), 'did you mean "query"'),
        (("encoder.prompt_name=query", 'encoder.prompt="a"'), "--prompt, --prompt-name"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(
    changes: tuple[str, ...],
    words: str,
    plain: Path,
    workspace: Workspace,
    catalog: Catalog,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = theirs(plain, tmp_path / "st", prompts={"query": QUERY})
    with pytest.raises(SettingError, match=words):
        trained(workspace, catalog, recipe(folder, *FEW, *changes))
    with pytest.raises(SettingError, match="this encoder has none"):
        start_in(plain, EncoderSettings(prompt_name="query"))
    assert workspace.artefacts("encoders") == []
