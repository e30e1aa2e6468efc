"""Recipes: the settings of all stages, one TOML file each, read into frozen dataclasses.

A recipe may `extends = "other"`; `--set section.key=value` comes last. The settings of an objective belong to its own
file in `mlsg/objectives/`, so the table `[objective]` stays plain here and is checked by `mlsg.objectives.read`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from mlsg.config.resources import resource_folder
from mlsg.config.settings import Between, parse_assignment, read_settings
from mlsg.errors import SettingError, nearest

DEFAULT_RECIPE = "zero_shot"

Precision = Literal["float32", "bf16"]
Pooling = Literal["cls", "mean", "max", "first_last"]


@dataclass(frozen=True)
class PrepareSettings:
    """Settings of `mlsg prepare`: which sentences, and which of them are left out."""

    lang: Annotated[str, "language of the sentences"] = "en"
    corpus: Annotated[str, "a corpus declared in langs/<lang>.toml; empty: the language's default"] = ""
    limit: Annotated[int, "at most this many sentences, a seeded sample; 0: all", Between(0)] = 0
    min_chars: Annotated[int, "leave out shorter sentences; a character of an unspaced script counts 3", Between(0)] = (
        10
    )
    max_chars: Annotated[int, "leave out longer sentences; a character of an unspaced script counts 3", Between(1)] = (
        400
    )
    drop_evaluation: Annotated[bool, "leave out evaluation sentences, unless the corpus is declared transductive"] = (
        True
    )
    seed: Annotated[int, "seed of the sample", Between(0)] = 0


@dataclass(frozen=True)
class TrainSettings:
    """Settings of `mlsg train` that every objective shares; defaults are the paper's (design, part 4)."""

    model: Annotated[str, "base: hub id, local folder or sentence-transformers folder; starter: the embedded one"] = (
        "bert-base-multilingual-cased"
    )
    revision: Annotated[str, "hub revision of the base"] = "main"
    epochs: Annotated[int, "passes over the sentences", Between(1)] = 1
    max_steps: Annotated[int, "stop after this many steps; 0: never", Between(0)] = 0
    batch_size: Annotated[int, "sentences a step, over all processes", Between(2)] = 16
    mini_batch_size: Annotated[
        int, "sentences a forward pass, where a batch is too big for the memory; 0: the batch", Between(0)
    ] = 0
    learning_rate: Annotated[float, "peak learning rate", Between(0)] = 5e-5
    warmup_ratio: Annotated[float, "share of the steps with linear warm-up, linear decay after", Between(0, 1)] = 0.1
    adam_betas: Annotated[tuple[float, float], "AdamW"] = (0.9, 0.9)
    adam_epsilon: Annotated[float, "AdamW", Between(0)] = 1e-6
    weight_decay: Annotated[float, "on matrices; 0 on biases and LayerNorm", Between(0)] = 0.01
    max_grad_norm: Annotated[float, "largest gradient norm; 0: no clipping", Between(0)] = 1.0
    max_length: Annotated[int, "tokens a sentence, special ones included", Between(3)] = 128
    train_embeddings: Annotated[bool, "false: the embedding layer stays frozen"] = False
    dev: Annotated[str, "pair set that picks the best weights; none: no dev evaluation"] = "stsb.en@dev"
    eval_steps: Annotated[int, "steps between two dev evaluations", Between(1)] = 50
    keep: Annotated[Literal["best", "last"], "which weights are saved: best on dev, or last"] = "best"
    patience: Annotated[int, "stop after this many dev evaluations that `stopping` counts; 0: never", Between(0)] = 10
    stopping: Annotated[
        Literal["best", "drops"], "best: those since the best; drops: all below the one before, as in the authors' code"
    ] = "best"
    collapse_above: Annotated[float, "stop when random pairs have a mean cosine above this", Between(0, 1)] = 0.995
    precision: Annotated[Precision, "float32, or bf16 autocast"] = "float32"
    seed: Annotated[int, "seed of the order, the head, the dropout and every other draw", Between(0)] = 1


@dataclass(frozen=True)
class EncoderSettings:
    """How sentence vectors are read off the base; also the anchor of training."""

    pooling: Annotated[Pooling, "over the tokens of one layer (first_last: of two)"] = "cls"
    layer: Annotated[int, "0: embeddings, 1..L: that layer, -1: the last", Between(-1)] = -1
    transform: Annotated[str, "map fitted on vectors; none"] = "none"


@dataclass(frozen=True)
class EvalSettings:
    """Settings of `mlsg eval`."""

    langs: Annotated[tuple[str, ...], "languages to evaluate"] = ("en", "es", "ar", "tr")
    family: Annotated[str, "only sets of this family; empty: each language's public sets"] = ""
    suite: Annotated[str, "what is measured"] = "sts"
    resamples: Annotated[int, "bootstrap resamples of pairs", Between(100)] = 1000
    seed: Annotated[int, "seed of the bootstrap", Between(0)] = 0
    precision: Annotated[Precision, "of the encoder's forward pass"] = "float32"


@dataclass(frozen=True)
class PretrainSettings:
    """Settings of `mlsg starter build`: a base pretrained from a folder of text."""

    languages: Annotated[tuple[str, ...], "languages of the folder that are read; empty: all"] = ()
    vocabulary: Annotated[int, "pieces of the tokenizer", Between(64, 2**31)] = 32_000
    tokenizer_share: Annotated[
        float, "power of a language's characters in the tokenizer's sample; 1: as they are, 0: all alike", Between(0, 1)
    ] = 0.5
    width: Annotated[int, "dimensions of the hidden states", Between(4)] = 256
    layers: Annotated[int, "layers", Between(1)] = 6
    heads: Annotated[int, "attention heads a layer", Between(1)] = 4
    attention: Annotated[
        Literal["eager", "sdpa"], "how attention is computed; for short inputs on a CPU eager takes a third of the time"
    ] = "eager"
    lengths: Annotated[tuple[int, ...], "longest input of each stretch of the training; the last: positions"] = (
        64,
        128,
        256,
    )
    length_shares: Annotated[tuple[float, ...], "share of the tokens of each stretch"] = (0.7, 0.2, 0.1)
    tokens: Annotated[int, "tokens to train on, padding not counted", Between(1)] = 30_000_000
    batch_tokens: Annotated[int, "tokens a step, about", Between(64)] = 8192
    pass_tokens: Annotated[int, "tokens a forward pass at most, padding counted", Between(64)] = 4096
    language_share: Annotated[
        float, "power of a language's tokens in what is drawn; 1: as they are, 0: all alike", Between(0, 1)
    ] = 0.7
    pair_share: Annotated[float, "share of the tokens that are translation pairs", Between(0, 0.95)] = 0.25
    mask_share: Annotated[float, "share of the words that are asked for", Between(0.01, 0.9)] = 0.2
    next_sentence: Annotated[float, "weight of the loss of [CLS] on neighbouring sentences; 0: none", Between(0)] = 1.0
    bag: Annotated[
        float, "weight of the loss of a text's vector on its words, or on its translation's; 0: none", Between(0)
    ] = 1.0
    bag_pooling: Annotated[Literal["cls", "mean", "both"], "which vector of the last layer it is asked of"] = "both"
    embedding_start: Annotated[
        Literal["cooccurrence", "random"], "embeddings at the start: of words that occur together, or drawn"
    ] = "cooccurrence"
    matrix_rate: Annotated[float, "peak learning rate of the matrices (Muon)", Between(0)] = 0.02
    embedding_rate: Annotated[
        float,
        "peak learning rate of the words' embeddings (AdamW); at 1e-3 what they begin with is soon lost",
        Between(0),
    ] = 2e-4
    other_rate: Annotated[float, "peak learning rate of biases, norms and all else (AdamW)", Between(0)] = 1e-3
    weight_decay: Annotated[float, "on matrices and embeddings, times the rate", Between(0)] = 0.01
    warmup_tokens: Annotated[int, "tokens with a rate that climbs, at most a tenth of all", Between(0)] = 1_000_000
    decay: Annotated[float, "share of the tokens, at the end, with a rate that falls to 0", Between(0, 1)] = 0.3
    clip: Annotated[float, "largest gradient norm; 0: no clipping", Between(0)] = 1.0
    precision: Annotated[Precision, "float32, or bf16 autocast; the weights themselves are float32"] = "bf16"
    seed: Annotated[int, "seed of every draw", Between(0)] = 1


@dataclass(frozen=True)
class Recipe:
    """All settings of one run; `objective` is checked by the objective that it names."""

    name: str
    summary: str = ""
    prepare: PrepareSettings = field(default_factory=PrepareSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    objective: Mapping[str, Any] = field(default_factory=lambda: {"name": "self_guided"})
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    eval: EvalSettings = field(default_factory=EvalSettings)
    pretrain: PretrainSettings | None = None
    """Only in recipes of `mlsg starter build`."""


_SECTIONS: Mapping[str, type] = {
    "prepare": PrepareSettings,
    "train": TrainSettings,
    "encoder": EncoderSettings,
    "eval": EvalSettings,
}
_OPTIONAL: Mapping[str, type] = {"pretrain": PretrainSettings}
_KNOWN = (*_SECTIONS, *_OPTIONAL, "objective")


def recipe_names() -> list[str]:
    """Names of the recipes that come with mlsg, sorted."""
    return sorted(path.stem for path in resource_folder("pipelines").glob("*.toml"))


def load_recipe(name: str = DEFAULT_RECIPE, assignments: Sequence[str] = ()) -> Recipe:
    """Recipe `name` (a name, or the path of a .toml file) with `section.key=value` assignments applied.

    Raises SettingError for an unknown recipe, section or key, a wrong type, and `extends` in a circle.
    """
    tables = _merged_tables(name, seen=())
    for assignment in assignments:
        key, value = parse_assignment(assignment)
        section, dot, entry = key.partition(".")
        if not dot:
            raise SettingError(f'--set "{assignment}" names no section', "write it as --set section.key=value")
        if section not in _KNOWN:
            raise SettingError(f'unknown section "{section}" in --set', nearest(section, _KNOWN))
        tables.setdefault(section, {})[entry] = value
    return _build(Path(name).stem, tables)


def _merged_tables(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise SettingError(f"recipes extend one another in a circle: {' -> '.join([*seen, name])}", "break the circle")
    tables = _read(name)
    parent = tables.pop("extends", None)
    if parent is None:
        return tables
    merged = _merged_tables(parent, (*seen, name))
    for key, value in tables.items():
        inherited = merged.get(key, {})
        if isinstance(value, dict) and (
            key != "objective" or value.get("name", inherited.get("name")) == inherited.get("name")
        ):
            merged[key] = {**inherited, **value}
        else:
            merged[key] = value  # another objective shares no settings with the one it replaces
    return merged


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else resource_folder("pipelines") / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f'unknown recipe "{name}"', nearest(name, recipe_names())) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingError(f"recipe {path} cannot be read: {error}", "mend the file") from None


def _build(name: str, tables: dict[str, Any]) -> Recipe:
    known = {*_KNOWN, "summary"}
    for key in tables:
        if key not in known:
            raise SettingError(f'unknown key "{key}" in recipe {name}', nearest(key, known))
    wanted = {**_SECTIONS, **{key: cls for key, cls in _OPTIONAL.items() if key in tables}}
    sections: dict[str, Any] = {
        key: read_settings(cls, tables.get(key, {}), f"[{key}] of recipe {name}") for key, cls in wanted.items()
    }
    objective = {"name": "self_guided", **tables.get("objective", {})}
    return Recipe(name=name, summary=tables.get("summary", ""), objective=objective, **sections)
