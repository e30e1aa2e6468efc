"""Objectives: training methods, one file each.

To add one: a file here with a frozen dataclass `Settings` that satisfies `interface.ObjectiveSettings`, and one line in
`_OBJECTIVES`. Reading settings imports no torch, so that the key of a training is known at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mlsg.config.settings import read_settings, shown, table_of
from mlsg.errors import SettingError, nearest

if TYPE_CHECKING:
    from mlsg.objectives.interface import ObjectiveSettings

_OBJECTIVES: Mapping[str, str] = {
    "back_translation": "mlsg.objectives.back_translation",
    "declutr": "mlsg.objectives.declutr",
    "regression": "mlsg.objectives.regression",
    "self_guided": "mlsg.objectives.self_guided",
    "sg_bt": "mlsg.objectives.sg_bt",
    "simcse": "mlsg.objectives.simcse",
    "untuned": "mlsg.objectives.untuned",
}


def objective_names() -> list[str]:
    """Names of the known objectives, sorted."""
    return sorted(_OBJECTIVES)


def settings_class(name: str) -> type[Any]:
    """The `Settings` dataclass of an objective. Raises SettingError for an unknown name."""
    if not isinstance(name, str) or name not in _OBJECTIVES:
        raise SettingError(f"unknown objective {shown(name)} in [objective]", nearest(str(name), _OBJECTIVES))
    found: type[Any] = import_module(_OBJECTIVES[name]).Settings
    return found


def read(table: Mapping[str, Any]) -> ObjectiveSettings:
    """The settings of the table `[objective]`: `{"name": "self_guided", "loss": "opt3"}`.

    Raises SettingError for an unknown name or key, a wrong type and settings that contradict each other.
    """
    name = table.get("name", "self_guided")
    values = {key: value for key, value in table.items() if key != "name"}
    settings: ObjectiveSettings = read_settings(settings_class(name), values, f"[objective] {name}")
    return settings


def resolved(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with every default written out, as the key of a training holds it."""
    return {"name": table.get("name", "self_guided"), **table_of(read(table))}
