"""`mlsg show`: a recipe as the TOML that would give it, every setting with its meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlsg import console, objectives
from mlsg.config.recipes import Recipe, load_recipe, recipe_names
from mlsg.config.settings import meanings, table_of

_SECTIONS = ("prepare", "train", "objective", "encoder", "eval")


def print_recipes() -> None:
    """The recipes that come with mlsg, a line each, on stdout."""
    rows = [(name, load_recipe(name).summary) for name in recipe_names()]
    console.table("Recipes (mlsg run NAME, mlsg show NAME)", ["recipe", "what it does"], rows)


def print_recipe(recipe: Recipe) -> None:
    """One recipe with all its settings, on stdout; it can be saved as a TOML and run."""
    console.result("\n".join(_lines(recipe)))


def _lines(recipe: Recipe) -> Iterator[str]:
    yield f"summary = {_toml(recipe.summary)}"
    for section in _SECTIONS if recipe.pretrain is None else ("pretrain",):
        settings = _settings_of(recipe, section)
        known = meanings(type(settings))
        table = table_of(settings)
        if section == "objective":
            table = {"name": recipe.objective["name"], **table}
            known = {"name": f"one of: {', '.join(objectives.objective_names())}", **known}
        yield f"\n[{section}]"
        entries = {key: f"{key} = {_toml(value)}" for key, value in table.items()}
        width = min(max(map(len, entries.values())), 44)
        yield from (f"{entry:{width}}  # {known[key]}" for key, entry in entries.items())


def _settings_of(recipe: Recipe, section: str) -> Any:
    if section == "objective":
        return objectives.read(recipe.objective)
    if section == "pretrain":
        from mlsg.pretraining.settings import pretrain_settings

        return pretrain_settings(recipe)
    return getattr(recipe, section)


def _toml(value: Any) -> str:
    """A TOML value; JSON's notation is TOML's for texts, numbers, booleans and lists."""
    return json.dumps(value, ensure_ascii=False)
