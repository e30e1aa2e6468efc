"""Recipes: those that come with mlsg say what the paper and docs/design.md say; inheritance and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlsg.config.recipes import load_recipe, recipe_names
from mlsg.errors import SettingError


def test_the_recipes_that_the_readme_names_are_there() -> None:
    named = {"zero_shot", "authors_code", "sg", "opt1", "opt2", "mean", "cls", "max", "quickstart"}
    assert named <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_has_a_summary(name: str) -> None:
    assert load_recipe(name).summary


def test_the_default_recipe_has_the_papers_settings() -> None:
    recipe = load_recipe()
    train = recipe.train
    assert (train.batch_size, train.learning_rate, train.warmup_ratio, train.max_grad_norm) == (16, 5e-5, 0.1, 1.0)
    assert (train.adam_betas, train.weight_decay, train.epochs, train.max_length) == ((0.9, 0.9), 0.01, 1, 128)
    assert (train.dev, train.eval_steps, train.keep) == ("stsb.en@dev", 50, "best")
    assert not train.train_embeddings
    assert recipe.objective["loss"] == "opt3"
    assert recipe.objective["view_pooling"] == "max"
    assert recipe.encoder.pooling == "auto"  # [CLS] of a base that is not an encoder itself: tests/train/test_start.py
    assert recipe.train.optimizer == "adamw"


def test_the_authors_code_differs_where_the_reference_says_it_does() -> None:
    recipe = load_recipe("authors_code")
    assert recipe.objective["view_pooling"] == "mean"
    assert recipe.objective["guide_dropout"] is True
    assert (recipe.train.keep, recipe.train.stopping, recipe.train.patience) == ("last", "drops", 10)
    assert (recipe.train.optimizer, recipe.train.max_length) == ("adamw_hf", 131)  # 128 word pieces + 3


def test_assignments_come_last() -> None:
    recipe = load_recipe("sg", ["train.seed=7", "objective.temperature=0.05", "train.seed=8"])
    assert recipe.train.seed == 8
    assert recipe.objective == {
        "name": "self_guided",
        "loss": "base",
        "view_pooling": "max",
        "temperature": 0.05,
    }


def test_settings_of_another_objective_are_not_inherited(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "zero_shot"\n[objective]\nname = "untuned"\n')
    assert load_recipe(str(tmp_path / "mine.toml")).objective == {"name": "untuned"}
    assert load_recipe("zero_shot", ["objective.name=untuned"]).objective == {"name": "untuned"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[trian]\n", 'unknown key "trian" in recipe mine; did you mean "train"?'),
        ("[train]\nsede = 1\n", "[train] of recipe mine"),
        ("extends = 'no_such'\n", 'unknown recipe "no_such"'),
        ("train = [\n", "cannot be read"),
        ("train = 3\n", "train in recipe mine is not a table"),
        ("extends = 3\n", "extends in recipe "),
        ("[objective]\nname = 3\n", "name is not a text"),
        ("[objective]\nname = []\n", "name is not a text"),
        ("summary = 3\n", "summary in recipe mine is not a text"),
        ("[train]\nseed = " + "9" * 5000, "cannot be read"),
        ("[train]\nadam_betas = " + "[" * 5000 + "]" * 5000, "lists or tables inside one another"),
        ("[encoder]\npooling = 'white'\n", "pooling is 'white'"),
    ],
)
def test_a_wrong_recipe_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(SettingError) as caught:
        load_recipe(str(tmp_path / "mine.toml"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_point_to_the_nearest() -> None:
    with pytest.raises(SettingError, match='did you mean "zero_shot"'):
        load_recipe("zero_shoot")
    with pytest.raises(SettingError, match='did you mean "train"'):
        load_recipe("zero_shot", ["trian.seed=1"])
    with pytest.raises(SettingError, match="has no section"):
        load_recipe("zero_shot", ["seed=1"])


def test_a_circle_of_recipes_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(f'extends = "{two}"\n')
    two.write_text(f'extends = "{one}"\n')
    with pytest.raises(SettingError, match="circle"):
        load_recipe(str(one))
