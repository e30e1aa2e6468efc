"""Reading objectives: defaults, unknown names and keys, contradictions, no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mlsg.errors import SettingError
from mlsg.objectives import objective_names, read, resolved, settings_class
from mlsg.objectives.self_guided import Settings


def test_the_defaults_are_the_papers() -> None:
    settings = read({"name": "self_guided"})
    assert settings == Settings(loss="opt3", temperature=0.01, reg_weight=0.1, view_pooling="max", guide_dropout=False)
    assert settings.label == "opt3"
    assert settings.trains


def test_defaults_are_written_out_for_the_key() -> None:
    assert resolved({"name": "self_guided"}) == resolved({"name": "self_guided", "temperature": 0.01, "layers": []})
    assert resolved({"name": "untuned"}) == {"name": "untuned"}


def test_every_registered_objective_can_be_read() -> None:
    for name in objective_names():
        assert read({"name": name}) == settings_class(name)()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"name": "self_guidd"}, ["self_guidd", 'did you mean "self_guided"?']),
        ({"name": "self_guided", "temprature": 1.0}, ["temprature", 'did you mean "temperature"?']),
        ({"name": "self_guided", "trains": False}, ["trains"]),
        ({"name": "untuned", "loss": "opt3"}, ["loss"]),
        ({"name": "self_guided", "loss": "opt4"}, ["opt4"]),
        ({"name": "self_guided", "temperature": 0}, ["temperature"]),
        ({"name": "self_guided", "temperature": "warm"}, ["temperature", "a number"]),
        ({"name": "self_guided", "layers": [1, 1]}, ["layers", "[1, 1]"]),
        ({"name": "self_guided", "layers": [-1]}, ["layers", "[-1]"]),
        ({"name": "self_guided", "view_weighting": "sif", "view_pooling": "max"}, ['"sif"', '"max"']),
        ({"name": "self_guided", "view_weighting": "sif", "view_pooling": "cls"}, ['"sif"', '"cls"']),
    ],
)
def test_a_wrong_table_is_refused_by_name(table: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SettingError) as caught:
        read(table)
    for word in words:
        assert word in str(caught.value)


def test_reading_settings_and_the_stage_imports_no_torch() -> None:
    code = (
        "import sys, mlsg.train, mlsg.objectives as o; [o.resolved({'name': n}) for n in o.objective_names()];"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
