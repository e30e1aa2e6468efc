"""`mlsg langs`: what is declared for each language. `mlsg show`: a recipe as the TOML that would give it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mlsg import console, objectives, transforms
from mlsg.config.catalog import Catalog, Language
from mlsg.config.recipes import Recipe, load_recipe, recipe_names
from mlsg.config.schema import Corpus, PairSet
from mlsg.config.settings import meanings, table_of
from mlsg.report.drawing import Grid, print_grids

_SECTIONS = ("prepare", "train", "objective", "encoder", "transform", "eval")


def print_languages(catalog: Catalog, code: str | None) -> None:
    """One line a language, or everything about one, on stdout. Raises SettingError for an unknown language."""
    if code is None:
        _print_overview(catalog)
    else:
        _print_language(catalog.language(code))


def print_recipes() -> None:
    """The recipes that come with mlsg, a line each, on stdout."""
    rows = [(name, load_recipe(name).summary) for name in recipe_names()]
    _print("Recipes (mlsg run NAME, mlsg show NAME)", ("recipe", "what it does"), rows)


def print_recipe(recipe: Recipe, pretrain: object | None = None) -> None:
    """One recipe with all its settings, on stdout; it can be saved as a TOML and run.

    `pretrain` are the settings of a recipe that is for `mlsg starter build`.
    """
    console.result("\n".join(_recipe_lines(recipe, pretrain)))


def _print_overview(catalog: Catalog) -> None:
    rows = []
    for language in catalog.languages.values():
        primary = catalog.primary_of(language.code)
        shown = ("-",) * 4 if primary is None else (primary.name, _pairs(primary), _made(primary), primary.licence)
        rows.append((language.code, language.name, *shown, str(len(language.sets)), str(len(language.corpora))))
    columns = ("code", "language", "primary set", "pairs", "how made", "licence", "sets", "corpora")
    _print("Languages (mlsg langs CODE shows one in full)", columns, rows, numbers=("pairs", "sets", "corpora"))


def _print_language(language: Language) -> None:
    sets = []
    for each in language.sets:
        name, languages = f"{each.name}{' *' if each.primary else ''}", "-".join(dict.fromkeys(each.languages))
        used = "yes" if each.default else ""
        sets.append((name, languages, each.split, _pairs(each), _made(each), each.licence, used))
    columns: tuple[str, ...] = ("set (* primary)", "languages", "split", "pairs", "how made", "licence", "in eval")
    _print(f"Pair sets of {language.name} ({language.code})", columns, sets, numbers=("pairs",))
    corpora = [
        (f"{each.name}{' *' if each.default else ''}", _where(each), each.licence, ", ".join(each.transductive))
        for each in language.corpora
    ]
    columns = ("corpus (* default)", "from", "licence", "transductive on")
    _print(f"Corpora of {language.name} ({language.code})", columns, corpora)


def _print(
    title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], numbers: tuple[str, ...] = ()
) -> None:
    folding = tuple(column for column in columns[1:] if column not in numbers)
    print_grids(console.stdout(), [Grid(title, columns, tuple(rows), numbers, folding=folding)])


def _pairs(pair_set: PairSet) -> str:
    return f"{pair_set.pairs:,}" if pair_set.pairs else "?"


def _made(pair_set: PairSet) -> str:
    return pair_set.made.replace("_", " ").replace("for project", "for mlsg")


def _where(corpus: Corpus) -> str:
    hub = [f"hub {source.path}{f' ({source.config})' if source.config else ''}" for source in corpus.hub[:1]]
    files = ["inside mlsg" if corpus.root == "starter" else "files"] if corpus.files else []
    return ", ".join([*files, *hub])


def _recipe_lines(recipe: Recipe, pretrain: object | None) -> Iterator[str]:
    yield f"summary = {_toml(recipe.summary)}"
    for section in _SECTIONS if pretrain is None else ("pretrain",):
        named = {"objective": objectives, "transform": transforms}.get(section)
        own = named.read(getattr(recipe, section)) if named else getattr(recipe, section)
        settings = pretrain or own
        known = {} if settings is None else meanings(type(settings))
        table = {} if settings is None else table_of(settings)
        if named:
            names = objectives.objective_names() if section == "objective" else transforms.transform_names()
            table = {"name": getattr(recipe, section).get("name", transforms.NONE), **table}
            known = {"name": f"one of: {', '.join(names)}", **known}
        yield f"\n[{section}]"
        entries = {key: f"# {key}" if value is None else f"{key} = {_toml(value)}" for key, value in table.items()}
        width = min(max(map(len, entries.values())), 44)
        yield from (f"{entry:{width}}  # {known[key]}" for key, entry in entries.items())


def _toml(value: Any) -> str:
    """A TOML value; JSON's notation is TOML's for texts, numbers, booleans and lists."""
    return json.dumps(value, ensure_ascii=False)
