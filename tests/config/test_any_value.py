"""Any value of any TOML type for any setting: accepted with the declared type and bounds, or refused in one line."""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlsg import objectives
from mlsg.api import load_recipe
from mlsg.config import schema
from mlsg.config.catalog import load_catalog
from mlsg.config.recipes import SECTIONS
from mlsg.config.settings import Between, parse_assignment, parse_seeds, read_settings, table_of
from mlsg.errors import MlsgError, SettingError
from mlsg.pretraining.settings import PretrainSettings
from tests.fuzzing import tried

SETTINGS: dict[str, type] = {
    **SECTIONS,
    "self_guided": objectives.settings_class("self_guided"),
    "pretrain": PretrainSettings,
}
DECLARED = [*SETTINGS.values(), schema.Files, schema.HubSource, schema.PairSet, schema.Corpus]

HUGE = [10**12, -(10**12), 2**63, 10**400, math.inf, -math.inf, math.nan, 1e308, 5e-324, 0.0, -0.0]
NESTED: list[Any] = []
for _ in range(3000):
    NESTED = [NESTED]

SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=True),
    st.sampled_from(HUGE),
    st.text(max_size=20),
    st.text(min_size=5000, max_size=5001),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.sampled_from([None, datetime.UTC])),
)
VALUES = st.one_of(
    SCALARS,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([[[]], {}, {"name": []}, [0] * 5000, [1.5] * 2, [1, 1], ["cls"]]),
)


@contextmanager
def refused_in_one_line_or_accepted() -> Iterator[None]:
    """What is raised inside is the user's error, in one line of bounded length, within a second of computing."""
    began = time.process_time()
    try:
        yield
    except MlsgError as error:
        assert isinstance(error, SettingError)
        assert "\n" not in str(error)
        assert len(str(error)) < 1500
    assert time.process_time() - began < 1


def holds_numbers(kind: Any) -> bool:
    return kind in (int, float) or any(holds_numbers(part) for part in typing.get_args(kind))


@pytest.mark.parametrize("cls", DECLARED, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_number_has_finite_bounds_and_its_default_lies_inside(cls: type) -> None:
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        declared = getattr(hints[field.name], "__metadata__", ())
        bounds = [each for each in declared if isinstance(each, Between)]
        assert len(bounds) == holds_numbers(hints[field.name]), field.name
        for bound in bounds:
            assert math.isfinite(bound.low) and math.isfinite(bound.high) and bound.low < bound.high
            if field.default is not dataclasses.MISSING:
                default = field.default if isinstance(field.default, tuple) else (field.default,)
                assert all(bound.low <= n <= bound.high for n in default if isinstance(n, int | float)), field.name


def in_bounds(value: Any, bound: Between) -> bool:
    if isinstance(value, list):
        return all(in_bounds(each, bound) for each in value)
    return isinstance(value, str | None) or bound.low <= value <= bound.high


@tried(150)
@given(st.data(), VALUES)
def test_any_value_of_any_setting(data: st.DataObject, value: Any) -> None:
    cls = data.draw(st.sampled_from(list(SETTINGS.values())))
    name = data.draw(st.sampled_from([field.name for field in dataclasses.fields(cls)]))
    with refused_in_one_line_or_accepted():
        read = read_settings(cls, {name: value}, "[section]")
        metadata = typing.get_type_hints(cls, include_extras=True)[name].__metadata__
        for bound in (each for each in metadata if isinstance(each, Between)):
            assert in_bounds(table_of(read)[name], bound)


WORST = [*HUGE, 16**6000, -(16**6000), [16**6000], [], [[]], NESTED, {}, {"a": {}}, True, "", "x" * 10**6, [0] * 10**6]


@pytest.mark.parametrize("value", WORST, ids=range(len(WORST)))
@pytest.mark.parametrize("cls", SETTINGS.values(), ids=lambda cls: cls.__name__)
def test_the_worst_values_for_every_setting(cls: type, value: Any) -> None:
    for field in dataclasses.fields(cls):
        with refused_in_one_line_or_accepted():
            read_settings(cls, {field.name: value}, "[section]")


KEYS = st.one_of(
    st.sampled_from([*SECTIONS, "objective", "pretrain", "summary", "extends", "name"]), st.text(min_size=1, max_size=9)
)


def toml(value: Any) -> str:
    """TOML of what `VALUES` gives."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "nan" if math.isnan(value) else f"{'-' if value < 0 else ''}inf" if math.isinf(value) else repr(value)
    if isinstance(value, int):
        return hex(value) if value >= 0 else f"-{-value}" if value > -(10**4000) else "-1"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" if not 0xD800 <= ord(c) < 0xE000 else "?" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return str(value.isoformat())


@tried(150)
@given(data=st.data(), value=VALUES)
def test_any_value_of_any_key_of_a_recipe(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, value: Any
) -> None:
    path = tmp_path_factory.mktemp("recipes") / "mine.toml"
    path.write_text(f"{toml(data.draw(KEYS))} = {toml(value)}\n", encoding="utf-8")
    with refused_in_one_line_or_accepted():
        load_recipe(str(path))


@tried(150)
@given(data=st.data(), value=VALUES)
def test_any_value_of_any_setting_on_the_command_line(data: st.DataObject, value: Any) -> None:
    names = [f"{s}.{f.name}" for s, cls in SECTIONS.items() for f in dataclasses.fields(cls)]
    names += ["objective.name", "objective.layers", "objective.head_depth", "objective", "seed", "."]
    name = data.draw(st.sampled_from(names))
    written = data.draw(st.sampled_from([toml(value), str(value)[:10_000], "[" * 9000, "[" * 3000 + "]" * 3000]))
    with refused_in_one_line_or_accepted():
        key, read = parse_assignment(f"{name}={written}")
        load_recipe("zero_shot", **{key: read})


@tried(60)  # our own languages are read each time
@given(data=st.data(), value=VALUES)
def test_any_value_of_any_key_of_a_language(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, value: Any
) -> None:
    folder = tmp_path_factory.mktemp("langs")
    tables = [
        "",
        "corpora",
        "families",
        "sets",
        'sets."a.xx"',
        "corpora.c",
        "families.a",
        "sets.'a.xx'.hub",
        "corpora.c.hub",
    ]
    fields = [field.name for cls in DECLARED[-4:] for field in dataclasses.fields(cls)]
    key = data.draw(st.sampled_from([*fields, "files", "hub", "members", "splits", "code", "name", "spaced"]))
    table = data.draw(st.sampled_from(tables))
    other = {"files": '"p.tsv"'} if "." in table and "hub" not in table else {"path": '"a/b"'} if "hub" in table else {}
    written = "\n".join(f"{name} = {each}" for name, each in {**other, key: toml(value)}.items())
    (folder / "xx.toml").write_text((f"[{table}]\n" if table else "") + written, encoding="utf-8")
    with refused_in_one_line_or_accepted():
        load_catalog([folder])


@tried(150)
@given(st.one_of(st.text(max_size=30), st.text("0123456789-, ", max_size=40)))
@example("1-999999999999")
@example("0-9223372036854775807")
@example("9" * 5000)
@example("1-" + "9" * 5000)
@example(",".join(map(str, range(10**5))))
@example("-" * 10**6)
@example("1" + " " * 10**6 + "x")
def test_any_text_of_seeds(text: str) -> None:
    with refused_in_one_line_or_accepted():
        seeds = parse_seeds(text)
        assert 0 < len(seeds) == len(set(seeds)) <= 1000
        assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("objective.name=[]", "name is not a text"),
        ("train.adam_betas=[1,1]", "at most 0.999999"),
        ("objective.head_depth=1000000000000", "at most 16"),
        ("train.learning_rate=nan", "from 0 to 1e+06"),
        ("train.learning_rate=inf", "from 0 to 1e+06"),
        ("train.seed=-1", "at least 0"),
        ("train.batch_size=0x" + "f" * 6000, "a value of the type int"),
        ("eval.langs=3", "must be a list"),
        ("prepare.limit=1e3", "must be a whole number"),
        ("train.weight_decay=0x" + "f" * 6000, "at most 100"),
    ],
)
def test_samples_of_wrong_values(assignment: str, words: str) -> None:
    with refused_in_one_line_or_accepted(), pytest.raises(SettingError) as caught:
        load_recipe("zero_shot", **dict([parse_assignment(assignment)]))
    assert words in str(caught.value)


def test_recipes_that_extend_one_another_without_end_are_refused(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{tmp_path}/{number + 1}.toml"\n')
    with pytest.raises(SettingError, match="extend one another"):
        load_recipe(str(tmp_path / "0.toml"))
