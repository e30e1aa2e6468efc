"""Names of settings: by their own name, in the wrong section, or as other libraries call them."""

from __future__ import annotations

import pytest

from mlsg import objectives
from mlsg.config.recipes import SECTIONS
from mlsg.config.settings import _SAME_MEANING, full_name, setting_names, suggestion
from mlsg.errors import SettingError

_NAMES = {section: setting_names(cls) for section, cls in SECTIONS.items()}
_NAMES["objective"] = ["name", *setting_names(objectives.settings_class("self_guided"))]


def test_every_other_name_leads_to_a_setting_and_is_not_one_itself() -> None:
    known = {f"{section}.{name}" for section, names in _NAMES.items() for name in names}
    assert set(_SAME_MEANING) <= known
    others = [word for words in _SAME_MEANING.values() for word in words.split()]
    assert len(others) == len(set(others))
    assert not set(others) & {name for names in _NAMES.values() for name in names}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("lr", "train.learning_rate"),
        ("tau", "objective.temperature"),
        ("lambda", "objective.reg_weight"),
        ("regulariser", "objective.reg_weight"),
        ("clip", "train.max_grad_norm"),
        ("warmup", "train.warmup_ratio"),
        ("dev_every", "train.eval_steps"),
        ("chunk", "train.mini_batch_size"),
        ("betas", "train.adam_betas"),
        ("epsilon", "train.adam_epsilon"),
        ("view_limit", "objective.view_cache_gb"),
        ("bs", "train.batch_size"),
        ("per_device_train_batch_size", "train.batch_size"),
        ("num_train_epochs", "train.epochs"),
        ("max_seq_length", "train.max_length"),
    ],
)
def test_another_name_suggests_by_meaning_in_any_section(word: str, meant: str) -> None:
    section, _, name = meant.partition(".")
    for asked, names in _NAMES.items():
        with pytest.raises(SettingError) as caught:
            full_name(f"{asked}.{word}", _NAMES)
        assert f'did you mean "{name if asked == section else meant}"?' in str(caught.value)
        assert suggestion(word, names) == f'did you mean "{name if asked == section else meant}"?'
    with pytest.raises(SettingError, match=f'unknown setting "{word}"; did you mean "{name}"'):
        full_name(word, _NAMES)


def test_a_setting_in_the_wrong_section_is_named_with_its_own() -> None:
    with pytest.raises(SettingError, match=r'unknown key "temperature" in \[train\]; did you mean "objective.temp'):
        full_name("train.temperature", _NAMES)
    with pytest.raises(SettingError, match='did you mean "temperature"'):
        full_name("objective.temprature", _NAMES)


@pytest.mark.parametrize("given", ["train.seed", "train__seed"])
def test_a_setting_is_named_with_its_section(given: str) -> None:
    assert full_name(given, _NAMES) == "train.seed"


def test_a_name_of_its_own_must_be_in_one_section_of_those_asked() -> None:
    assert full_name("learning_rate", _NAMES) == "train.learning_rate"
    assert full_name("layers", _NAMES) == "objective.layers"
    assert full_name("seed", {"eval": _NAMES["eval"]}) == "eval.seed"
    with pytest.raises(SettingError, match='"seed" is a setting of prepare, train, eval; name one: prepare__seed'):
        full_name("seed", _NAMES)
    with pytest.raises(SettingError, match='unknown section "trian" in "trian__seed"; did you mean "train"'):
        full_name("trian__seed", _NAMES)
