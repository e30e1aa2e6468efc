"""Typed settings: what is accepted, what is refused and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest

from mlsg.config.recipes import TrainSettings
from mlsg.config.settings import meanings, parse_assignment, parse_seeds, read_settings, setting_names, table_of
from mlsg.errors import SettingError, nearest


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"batch_sise": 3}, 'unknown key "batch_sise" in [train]; did you mean "batch_size"?'),
        ({"batch_size": "16"}, 'batch_size must be a whole number, not "16"'),
        ({"batch_size": 16.5}, "must be a whole number"),
        ({"batch_size": 1}, "at least 2"),
        ({"warmup_ratio": 1.5}, "from 0 to 1"),
        ({"warmup_ratio": True}, "must be a number, not true"),
        ({"train_embeddings": 1}, "must be true or false"),
        ({"keep": "bset"}, 'did you mean "best"?'),
        ({"adam_betas": [0.9]}, "a list of 2"),
        ({"adam_betas": 0.9}, "must be a list"),
        ({"model": 3}, "must be a text"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(table: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_settings(TrainSettings, table, "[train]")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_whole_numbers_pass_for_numbers_and_lists_for_tuples() -> None:
    settings = read_settings(TrainSettings, {"max_grad_norm": 2, "adam_betas": [0, 0.5]}, "[train]")
    assert settings.max_grad_norm == 2.0
    assert isinstance(settings.max_grad_norm, float)
    assert settings.adam_betas == (0.0, 0.5)
    assert table_of(settings)["adam_betas"] == [0.0, 0.5]


def test_every_setting_says_what_it_means() -> None:
    assert all(meanings(TrainSettings).values())


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("train.seed=3", "train.seed", 3),
        ("train.learning_rate = 3e-5", "train.learning_rate", 3e-5),
        ("objective.layers=[1, 2]", "objective.layers", [1, 2]),
        ("train.dev=none", "train.dev", "none"),
        ("train.dev=stsb.en@dev", "train.dev", "stsb.en@dev"),
        ('prepare.lang="no"', "prepare.lang", "no"),
        ("train.train_embeddings=true", "train.train_embeddings", True),
        ("a.b=", "a.b", ""),
    ],
)
def test_assignments_are_read_as_toml_or_text(text: str, key: str, value: object) -> None:
    assert parse_assignment(text) == (key, value)


@pytest.mark.parametrize("text", ["train.seed", "=3", ""])
def test_what_is_not_an_assignment_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"section\.key=value"):
        parse_assignment(text)


def test_settings_are_the_fields_and_not_whatever_is_annotated() -> None:
    @dataclass(frozen=True)
    class Some:
        kind: ClassVar[str] = "some"
        number: Annotated[int, "a number"] = 1

    assert setting_names(Some) == ["number"]
    assert meanings(Some) == {"number": "a number"}
    with pytest.raises(SettingError, match='unknown key "kind"'):
        read_settings(Some, {"kind": "other"}, "[some]")


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (3,)), ("1,2,5", (1, 2, 5)), ("1-4", (1, 2, 3, 4)), ("2-3, 8", (2, 3, 8))]
)
def test_seeds_are_listed_or_a_range(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1,,2", "4-1", "-3", "1-", "1-2-3", "1,1", "1-3,2", "1.5"])
def test_what_does_not_name_seeds_or_names_one_twice_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="1-8"):
        parse_seeds(text)


def test_nearest_lists_what_is_known_when_nothing_is_close() -> None:
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
    assert nearest("zzz", []) == "there are none"
