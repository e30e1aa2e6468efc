"""Recipes: the settings of all stages, one TOML file each, read into frozen dataclasses.

A recipe may `extends = "other"`; changed settings (`--set section.key=value`) come last. The settings of an objective
belong to its own file in `mlsg/objectives/`, those of a transform to `mlsg/transforms/`, those of pretraining to
`mlsg/pretraining/`: the tables `[objective]`, `[transform]` and `[pretrain]` stay plain here. `mlsg.load_recipe` checks
objective and transform too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from mlsg.config.resources import resource_folder
from mlsg.config.settings import LARGEST_SEED, Between, parse_assignment, read_settings, read_toml, shown
from mlsg.errors import SettingError, nearest

DEFAULT_RECIPE = "zero_shot"
DEFAULT_OBJECTIVE = "self_guided"
_LONGEST_CHAIN = 20  # recipes that extend one another

Precision = Literal["float32", "bf16"]
Kind = Literal["sentences", "pairs", "triplets", "documents", "scored_pairs"]
COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    "sentences": ("text",),
    "pairs": ("sentence1", "sentence2"),
    "triplets": ("anchor", "positive", "negative"),
    "documents": ("text",),
    "scored_pairs": ("sentence1", "sentence2", "score"),
}
"""The texts of a row of each kind, by the names that their columns have where no others are given."""
Pooling = Literal["cls", "mean", "max", "first_last", "embedding_last", "last_two", "all_layers", "wk", "sif"]


@dataclass(frozen=True)
class PrepareSettings:
    """Settings of `mlsg prepare`: which sentences, and which of them are left out."""

    lang: Annotated[str, "language of the sentences; several: en,es,ar, each with a limit of its own: en:20000,es"] = (
        "en"
    )
    kind: Annotated[
        Kind, "what a row is: a sentence, two or three that belong together, a document, two with a score"
    ] = "sentences"
    corpus: Annotated[str, "a corpus declared in langs/<lang>.toml; empty: the language's default"] = ""
    back_translate: Annotated[
        tuple[str, ...],
        "two translation models, there and back: each sentence becomes a pair with what they make of it",
    ] = ()
    beams: Annotated[int, "beams of the translation models", Between(1, 1000)] = 5
    limit: Annotated[int, "at most this many sentences, a seeded sample; 0: all", Between(0, 10**12)] = 0
    min_chars: Annotated[int, "leave out shorter sentences; a character of an unspaced script: 3", Between(0, 1e9)] = 10
    max_chars: Annotated[int, "leave out longer sentences; a character of an unspaced script: 3", Between(1, 1e9)] = 400
    drop_evaluation: Annotated[bool, "leave out evaluation sentences, unless the corpus is transductive"] = True
    drop_near: Annotated[bool, "also what differs from one in white space or final punctuation alone"] = False
    seed: Annotated[int, "seed of the sample", Between(0, LARGEST_SEED)] = 0


@dataclass(frozen=True)
class TrainSettings:
    """Settings of `mlsg train` that every objective shares; defaults are the paper's (docs/design.md, part 4)."""

    model: Annotated[str, "base: hub id or folder; starter: the embedded one"] = "bert-base-multilingual-cased"
    revision: Annotated[str, "hub revision of the base"] = "main"
    epochs: Annotated[int, "passes over the sentences", Between(1, 10_000)] = 1
    max_steps: Annotated[
        int, "at most this many steps, with the whole warm-up and decay in them; 0: all", Between(0, 10**9)
    ] = 0
    batch_size: Annotated[int, "sentences a step, over all processes", Between(2, 2**20)] = 16
    batches: Annotated[
        Literal["mixed", "one_language"], "of text of several languages: one_language: a batch has sentences of one"
    ] = "mixed"
    mini_batch_size: Annotated[int, "sentences a forward pass, to save memory; 0: the whole batch", Between(0, 1e6)] = 0
    learning_rate: Annotated[float, "peak learning rate", Between(0, 1e6)] = 5e-5
    warmup_ratio: Annotated[float, "share of the steps with linear warm-up, linear decay after", Between(0, 1)] = 0.1
    optimizer: Annotated[
        Literal["adamw", "adamw_hf"], "adamw: torch's; adamw_hf: that of transformers before version 5, the authors'"
    ] = "adamw"
    adam_betas: Annotated[tuple[float, float], "shares kept of the two moments", Between(0, 0.999999)] = (0.9, 0.9)
    adam_epsilon: Annotated[float, "added to the denominator", Between(1e-16, 1)] = 1e-6
    weight_decay: Annotated[float, "on matrices; 0 on biases and LayerNorm", Between(0, 100)] = 0.01
    max_grad_norm: Annotated[float, "largest gradient norm; 0: no clipping", Between(0, 1e12)] = 1.0
    max_length: Annotated[int, "tokens a sentence, special ones and prompt included", Between(3, 2**20)] = 128
    train_embeddings: Annotated[bool, "false: the embedding layer stays frozen"] = False
    dev: Annotated[str, "pair set that picks the best weights; none: no dev evaluation"] = "stsb.en@dev"
    eval_steps: Annotated[int, "steps between two dev evaluations", Between(1, 10**9)] = 50
    keep: Annotated[Literal["best", "last"], "which weights are saved: best on dev, or last"] = "best"
    patience: Annotated[int, "stop after this many evaluations that `stopping` counts; 0: never", Between(0, 1e6)] = 10
    stopping: Annotated[
        Literal["best", "drops"], "best: those since the best; drops: all below the one before, in training"
    ] = "best"
    collapse_above: Annotated[float, "stop when random pairs have a mean cosine above this", Between(0, 1)] = 0.995
    precision: Annotated[Precision, "float32, or bf16 autocast"] = "float32"
    seed: Annotated[int, "seed of the order, the head, the dropout and every other draw", Between(0, LARGEST_SEED)] = 1


@dataclass(frozen=True)
class EncoderSettings:
    """How sentence vectors are read off the base; also the anchor of training."""

    pooling: Annotated[
        Literal["auto", Pooling],
        "cls, mean, max: of one layer; the others: of several, averaged; auto: the base's own, else cls",
    ] = "auto"
    layer: Annotated[int, "0: embeddings, 1..L: that layer, -1: the last", Between(-1, 10_000)] = -1
    prompt: Annotated[str | None, "put before each sentence; not set: the base's own default"] = None
    prompt_name: Annotated[str | None, "the base's own prompt of this name instead"] = None


@dataclass(frozen=True)
class EvalSettings:
    """Settings of `mlsg eval`."""

    langs: Annotated[tuple[str, ...], "languages to evaluate"] = ("en", "es", "ar", "tr")
    sets: Annotated[
        tuple[str, ...], "only these of the languages' sets, by name; primary: each language's first; empty: all"
    ] = ()
    family: Annotated[str, "only sets of this family; empty: each language's public sets"] = ""
    suite: Annotated[str, "what is measured"] = "sts"
    resamples: Annotated[int, "bootstrap resamples of pairs", Between(100, 10**6)] = 1000
    seed: Annotated[int, "seed of the bootstrap", Between(0, LARGEST_SEED)] = 0
    precision: Annotated[Precision, "of the encoder's forward pass"] = "float32"


@dataclass(frozen=True)
class Recipe:
    """All settings of one run; `objective`, `transform` and `pretrain` are plain tables."""

    name: str
    summary: str = ""
    prepare: PrepareSettings = field(default_factory=PrepareSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    objective: Mapping[str, Any] = field(default_factory=lambda: {"name": DEFAULT_OBJECTIVE})
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    transform: Mapping[str, Any] = field(default_factory=dict)
    eval: EvalSettings = field(default_factory=EvalSettings)
    pretrain: Mapping[str, Any] | None = None  # only in recipes of `mlsg starter build`


SECTIONS: Mapping[str, type] = {
    "prepare": PrepareSettings, "train": TrainSettings, "encoder": EncoderSettings, "eval": EvalSettings
}  # fmt: skip
"""The sections whose settings are known here."""
_NAMED = ("objective", "transform")  # tables whose settings belong to what their name says
_KEYS = (*SECTIONS, *_NAMED, "pretrain", "summary")


def recipe_names() -> list[str]:
    """Names of the recipes that come with mlsg, sorted."""
    return sorted(path.stem for path in resource_folder("pipelines").glob("*.toml"))


def load_recipe(name: str = DEFAULT_RECIPE, assignments: Sequence[str] = ()) -> Recipe:
    """Recipe `name` (a name, or the path of a .toml file) with `section.key=value` assignments applied.

    Raises SettingError as `changed_recipe` does.
    """
    return changed_recipe(name, dict(map(parse_assignment, assignments)))


def changed_recipe(name: str, changes: Mapping[str, Any]) -> Recipe:
    """Recipe `name` with other values for some settings, `{"train.seed": 2}`.

    Raises SettingError for an unknown recipe, section or key, a wrong type, and `extends` in a circle. The settings of
    the objective are not checked.
    """
    changed: dict[str, Any] = {}
    for key, value in changes.items():
        section, dot, entry = key.partition(".")
        if not dot:
            raise SettingError(f"setting {shown(key)} has no section", "write it as section.key")
        changed.setdefault(section, {})[entry] = value
    return _build(Path(name).stem, _inherited(_merged_tables(name, seen=()), changed))


def _merged_tables(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen or len(seen) > _LONGEST_CHAIN:
        raise SettingError(
            f"recipes extend one another in a circle: {' -> '.join([*seen, name][-3:])}", "break the circle"
        )
    path = Path(name) if name.endswith(".toml") else resource_folder("pipelines") / f"{name}.toml"
    try:
        tables = read_toml(path, f"recipe {path}")
    except FileNotFoundError:
        raise SettingError(f"unknown recipe {shown(name)}", nearest(name, recipe_names())) from None
    parent = tables.pop("extends", None)
    if not isinstance(parent, str | None):
        raise SettingError(f"extends in recipe {name} is not a text", "write the name or the path of a recipe")
    return tables if parent is None else _inherited(_merged_tables(parent, (*seen, name)), tables)


def _inherited(base: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """`tables` over `base`, key by key; an objective or transform shares no settings with the one that it replaces."""
    merged = {**base, **tables}
    for key, value in tables.items():
        before = base.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            name = before.get("name", DEFAULT_OBJECTIVE if key == "objective" else "none")
            if key not in _NAMED or value.get("name", name) == name:
                merged[key] = {**before, **value}
    return merged


def _build(name: str, tables: Mapping[str, Any]) -> Recipe:
    for key, value in tables.items():
        if key not in _KEYS:
            raise SettingError(f"unknown key {shown(key)} in recipe {name}", nearest(key, _KEYS))
        if key == "summary" and not isinstance(value, str):
            raise SettingError(f"summary in recipe {name} is not a text", "write what the recipe does in one line")
        if key != "summary" and not isinstance(value, dict):
            raise SettingError(f"{key} in recipe {name} is not a table", f"write [{key}] and its settings below it")
    sections: dict[str, Any] = {
        key: read_settings(cls, tables.get(key, {}), f"[{key}] of recipe {name}") for key, cls in SECTIONS.items()
    }
    objective = {"name": DEFAULT_OBJECTIVE, **tables.get("objective", {})}
    transform = tables.get("transform", {})
    for key, table in (("objective", objective), ("transform", transform)):
        if not isinstance(table.get("name", ""), str):
            raise SettingError(f"[{key}] of recipe {name}: name is not a text", f"name one, as mlsg show {name} lists")
    plain = {"objective": objective, "transform": transform, "pretrain": tables.get("pretrain")}
    return Recipe(name, tables.get("summary", ""), **plain, **sections)
