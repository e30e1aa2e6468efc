"""`mlsg langs`: what is declared for each language. `mlsg show`: a recipe as the TOML that would give it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlsg import console, objectives
from mlsg.config.catalog import Catalog, Language
from mlsg.config.recipes import Recipe, load_recipe, recipe_names
from mlsg.config.schema import Corpus, PairSet
from mlsg.config.settings import meanings, table_of

_SECTIONS = ("prepare", "train", "objective", "encoder", "eval")

_MADE = {
    "human": "human",
    "human_translation": "human translation",
    "machine_translation": "machine translation",
    "written_for_project": "written for mlsg",
}


def print_languages(catalog: Catalog, code: str | None) -> None:
    """One line a language, or everything about one, on stdout. Raises SettingError for an unknown language."""
    if code is None:
        _print_overview(catalog)
    else:
        _print_language(catalog.language(code))


def print_recipes() -> None:
    """The recipes that come with mlsg, a line each, on stdout."""
    rows = [(name, load_recipe(name).summary) for name in recipe_names()]
    console.table("Recipes (mlsg run NAME, mlsg show NAME)", ["recipe", "what it does"], rows)


def print_recipe(recipe: Recipe, pretrain: object | None = None) -> None:
    """One recipe with all its settings, on stdout; it can be saved as a TOML and run.

    `pretrain` are the settings of a recipe that is for `mlsg starter build`.
    """
    console.result("\n".join(_recipe_lines(recipe, pretrain)))


def _print_overview(catalog: Catalog) -> None:
    rows = [
        (
            language.code,
            language.name,
            primary.name if primary else "-",
            _pairs(primary) if primary else "-",
            _MADE[primary.made] if primary else "-",
            primary.licence if primary else "-",
            str(len(language.sets)),
            str(len(language.corpora)),
        )
        for language in catalog.languages.values()
        for primary in [catalog.primary_of(language.code)]
    ]
    columns = ["code", "language", "primary set", "pairs", "how made", "licence", "sets", "corpora"]
    console.table("Languages (mlsg langs CODE shows one in full)", columns, rows, numbers=("pairs", "sets", "corpora"))


def _print_language(language: Language) -> None:
    sets = [
        (
            f"{pair_set.name}{' *' if pair_set.primary else ''}",
            "-".join(dict.fromkeys(pair_set.languages)),
            pair_set.split,
            _pairs(pair_set),
            _MADE[pair_set.made],
            pair_set.licence,
            "yes" if pair_set.default else "",
        )
        for pair_set in language.sets
    ]
    columns = ["set (* primary)", "languages", "split", "pairs", "how made", "licence", "in eval"]
    console.table(f"Pair sets of {language.name} ({language.code})", columns, sets, numbers=("pairs",))
    corpora = [
        (
            f"{corpus.name}{' *' if corpus.default else ''}",
            _where(corpus),
            corpus.licence,
            ", ".join(corpus.transductive),
        )
        for corpus in language.corpora
    ]
    console.table(
        f"Corpora of {language.name} ({language.code})",
        ["corpus (* default)", "from", "licence", "transductive on"],
        corpora,
    )


def _pairs(pair_set: PairSet) -> str:
    return f"{pair_set.pairs:,}" if pair_set.pairs else "?"


def _where(corpus: Corpus) -> str:
    hub = [f"hub {source.path}{f' ({source.config})' if source.config else ''}" for source in corpus.hub[:1]]
    files = ["inside mlsg" if corpus.root == "starter" else "files"] if corpus.files else []
    return ", ".join([*files, *hub])


def _recipe_lines(recipe: Recipe, pretrain: object | None) -> Iterator[str]:
    yield f"summary = {_toml(recipe.summary)}"
    for section in _SECTIONS if pretrain is None else ("pretrain",):
        own = objectives.read(recipe.objective) if section == "objective" else getattr(recipe, section)
        settings = pretrain or own
        known = meanings(type(settings))
        table = table_of(settings)
        if section == "objective":
            table = {"name": recipe.objective["name"], **table}
            known = {"name": f"one of: {', '.join(objectives.objective_names())}", **known}
        yield f"\n[{section}]"
        entries = {key: f"{key} = {_toml(value)}" for key, value in table.items()}
        width = min(max(map(len, entries.values())), 44)
        yield from (f"{entry:{width}}  # {known[key]}" for key, entry in entries.items())


def _toml(value: Any) -> str:
    """A TOML value; JSON's notation is TOML's for texts, numbers, booleans and lists."""
    return json.dumps(value, ensure_ascii=False)
