"""Typed settings: a TOML table read into a frozen dataclass.

A field is declared as `batch_size: Annotated[int, "sentences a step", Between(1, 4096)] = 16`. The string is what
`mlsg show` prints beside the value; the bounds are checked here, for each number of a list too. Every number has finite
ones, and texts and lists have a longest length, so that no value can keep a command busy. Unknown keys and wrong types
name the nearest known key.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import sys
import tomllib
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from mlsg.errors import SettingError, nearest

T = TypeVar("T")

_SAME_MEANING: Mapping[str, str] = {
    "train.model": "model_name model_name_or_path base base_model pretrained",
    "train.epochs": "num_train_epochs num_epochs n_epochs",
    "train.max_steps": "steps num_steps total_steps",
    "train.batch_size": "bs batch per_device_train_batch_size per_device_batch_size train_batch_size",
    "train.mini_batch_size": "chunk chunk_size gradient_accumulation_steps",
    "train.learning_rate": "lr max_lr rate",
    "train.warmup_ratio": "warmup warmup_steps warmup_proportion",
    "train.adam_betas": "betas beta1 beta2 adam_beta1 adam_beta2",
    "train.optimizer": "optim optimiser",
    "train.adam_epsilon": "epsilon eps adam_eps",
    "train.weight_decay": "wd decay",
    "train.max_grad_norm": "clip grad_clip gradient_clip clip_norm max_norm",
    "train.max_length": "max_seq_length max_seq_len max_len model_max_length",
    "train.train_embeddings": "freeze_embeddings freeze_embedding",
    "train.dev": "dev_set eval_set",
    "train.eval_steps": "dev_every eval_every evaluation_steps",
    "train.keep": "load_best_model_at_end save_best_model",
    "train.patience": "early_stopping_patience early_stopping",
    "train.precision": "fp16 bf16 amp dtype torch_dtype",
    "train.seed": "random_seed data_seed",
    "objective.temperature": "tau temp scale",
    "objective.reg_weight": "lambda lambda_ lam regulariser regularizer regularisation regularization reg l2 l2_sp",
    "objective.view_cache_gb": "view_limit view_memory",
    "objective.head_width": "projection_dim proj_dim",
    "encoder.pooling": "pooling_mode pool pooler",
    "encoder.prompt": "prefix instruction",
    "encoder.prompt_name": "default_prompt_name",
    "eval.resamples": "n_resamples bootstrap n_bootstrap",
}
"""Setting -> what others, and mlsg before, call the same or what decides the same."""

_MEANT = {word: name for name, words in _SAME_MEANING.items() for word in words.split()}

_LONGEST = 4096  # characters of a text, entries of a list or a table
_MOST_SEEDS = 1000
_SHOWN = 60  # characters of a wrong value in a message
LARGEST_SEED = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Between:
    """Closed bounds of a number, finite ones."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"from {_number(self.low)} to {_number(self.high)}"

    def check(self, value: Any, where: str) -> None:
        """Raise SettingError for a number outside, in a list or not; anything else is not looked at."""
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and not self.low <= number <= self.high:
                side = f"at least {_number(self.low)}" if number < self.low else f"at most {_number(self.high)}"
                raise SettingError(f"{where} is {shown(value)}", f"give {side} (a number {self})")


def read_settings(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """The dataclass `cls` with the values of `table`; `where` names the table in errors (`[train] of recipe sg`).

    Raises SettingError for an unknown key, a wrong type, an unknown choice or a number out of bounds.
    """
    fields = _fields(cls)  # type: ignore[arg-type]
    values = {}
    for key, value in table.items():
        if key not in fields:
            raise SettingError(f"unknown key {shown(key)} in {where}", suggestion(key, fields))
        plain, annotations = fields[key]
        values[key] = _typed(value, plain, f"{where}: {key}")
        for bound in annotations:
            if isinstance(bound, Between):
                bound.check(values[key], f"{where}: {key}")
    return cls(**values)


def setting_names(cls: type) -> list[str]:
    """Names of the settings of a dataclass, in their order."""
    return list(_fields(cls))


def meanings(cls: type) -> dict[str, str]:
    """Field name -> the sentence that says what it means."""
    return {
        name: next((each for each in said if isinstance(each, str)), "") for name, (_, said) in _fields(cls).items()
    }


def table_of(settings: object) -> dict[str, Any]:
    """The plain JSON-able table of a settings dataclass (tuples become lists)."""
    table: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))  # type: ignore[call-overload]
    return table


def parse_assignment(text: str) -> tuple[str, Any]:
    """`train.batch_size=32` -> ("train.batch_size", 32); a value that is not TOML is taken as a string."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingError(f"{shown(text)} is not a setting", "write it as --set section.key=value")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")
    except (ValueError, RecursionError):
        parsed = {}
    return key.strip(), parsed["value"] if list(parsed) == ["value"] else value.strip()


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file, `what` in errors. Raises FileNotFoundError, and SettingError for all other faults."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # a number of more digits than Python reads is a plain ValueError
        raise SettingError(f"{what} cannot be read: {error}", "fix the file") from None
    except RecursionError:
        raise SettingError(f"{what} cannot be read: lists or tables inside one another", "fix the file") from None


def parse_seeds(text: str) -> tuple[int, ...]:
    """`"1-3,7"` -> (1, 2, 3, 7). Raises SettingError for anything else, a seed named twice and more than 1,000."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})(?:-(\d{1,19}))?\s*", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= LARGEST_SEED:
            raise SettingError(f"{shown(text)} does not name seeds", "write them as 1,2,5 or 1-8")
        if last - first + len(seeds) >= _MOST_SEEDS:
            raise SettingError(f"{shown(text)} names more than {_MOST_SEEDS:,} seeds", "name fewer, as 1,2,5 or 1-8")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise SettingError(f"{shown(text)} names a seed twice", "write them as 1,2,5 or 1-8")
    return tuple(seeds)


def shown(value: object) -> str:
    """A value in a message: one short text, whatever it is."""
    if isinstance(value, str | list | tuple):
        value = value[: _SHOWN + 1]
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists without end
        text = f"a value of the type {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def suggestion(word: str, known: Iterable[str], elsewhere: Mapping[str, Collection[str]] | None = None) -> str:
    """The remedy for an unknown setting: the known one that means the same, is elsewhere, or is spelt alike.

    `known` are the names of the section in question, `elsewhere` those of other sections.
    """
    known = list(known)
    meant = _MEANT.get(word.lower(), "")
    meant = meant or next((f"{section}.{word}" for section, names in (elsewhere or {}).items() if word in names), "")
    own = meant.partition(".")[2]
    return f'did you mean "{own if own in known else meant}"?' if meant else nearest(word, known)


def full_name(given: str, sections: Mapping[str, Collection[str]]) -> str:
    """`train__seed`, `train.seed` or, where only one of the sections has it, `seed` -> `train.seed`.

    `sections` maps each section to the names of its settings. Raises SettingError for an unknown or ambiguous name.
    """
    section, dot, name = given.replace("__", ".", 1).partition(".")
    if not dot:
        found = [section for section, names in sections.items() if given in names]
        if len(found) > 1:
            raise SettingError(f'"{given}" is a setting of {", ".join(found)}', f"name one: {found[0]}__{given}")
        if not found:
            everything = {name for names in sections.values() for name in names}
            raise SettingError(f"unknown setting {shown(given)}", suggestion(given, everything))
        return f"{found[0]}.{given}"
    if section not in sections:
        raise SettingError(f"unknown section {shown(section)} in {shown(given)}", nearest(section, sections))
    if name not in sections[section]:
        others = {key: names for key, names in sections.items() if key != section}
        raise SettingError(f"unknown key {shown(name)} in [{section}]", suggestion(name, sections[section], others))
    return f"{section}.{name}"


@functools.cache
def _fields(cls: type) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Field -> its type, and what else `Annotated` holds; a ClassVar is not a field."""
    plain, full = typing.get_type_hints(cls), typing.get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls)]
    return {name: (plain[name], getattr(full[name], "__metadata__", ())) for name in names}


def _typed(value: Any, plain: Any, where: str) -> Any:
    origin = typing.get_origin(plain)
    if isinstance(value, str | list | tuple | dict) and len(value) > _LONGEST:
        raise SettingError(f"{where} is {shown(value)}, of length {len(value):,}", f"give at most {_LONGEST:,}")
    if origin is Literal:
        choices = typing.get_args(plain)
        if value not in choices:
            given = repr(value[:_SHOWN]) if isinstance(value, str) else shown(value)
            raise SettingError(f"{where} is {given}", nearest(given, map(str, choices)))
        return value
    if origin is tuple:
        return _typed_tuple(value, typing.get_args(plain), where)
    if origin is types.UnionType:
        return _typed_union(value, typing.get_args(plain), where)
    if isinstance(plain, types.GenericAlias):
        if not isinstance(value, dict):
            raise _wrong_type(where, "a table", value)
        kind = typing.get_args(plain)[1]
        return {key: item if kind is Any else _typed(item, kind, f"{where}.{key}") for key, item in value.items()}
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        # one that no float holds is outside of all bounds
        return float(value) if value.bit_length() < sys.float_info.max_exp else value
    if not isinstance(value, plain) or (plain is not bool and isinstance(value, bool)):
        raise _wrong_type(where, _NAMES.get(plain, plain.__name__), value)
    return value


def _typed_union(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    for kind in kinds:
        with suppress(SettingError):
            return _typed(value, kind, where)
    raise _wrong_type(where, " or ".join(_NAMES.get(kind, "a list") for kind in kinds if kind is not type(None)), value)


def _typed_tuple(value: Any, kinds: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong_type(where, "a list", value)
    if kinds[-1] is Ellipsis:
        return tuple(_typed(item, kinds[0], where) for item in value)
    if len(value) != len(kinds):
        raise _wrong_type(where, f"a list of {len(kinds)}", value)
    return tuple(_typed(item, kind, where) for item, kind in zip(value, kinds, strict=True))


_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def _wrong_type(where: str, wanted: str, value: object) -> SettingError:
    return SettingError(f"{where} must be {wanted}, not {shown(value)}", "fix the value")


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
