"""Transforms: maps of sentence vectors that are fitted on text and saved with the encoder, one file each.

To add one: a file here with a frozen dataclass `Settings` that satisfies `interface.TransformSettings`, and one line in
`_TRANSFORMS`. Reading settings imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mlsg.config.settings import read_settings, shown, table_of
from mlsg.errors import SettingError, nearest

if TYPE_CHECKING:
    from mlsg.transforms.interface import TransformSettings

NONE = "none"
_TRANSFORMS: Mapping[str, str] = {
    "all_but_the_top": "mlsg.transforms.all_but_the_top",
    "center": "mlsg.transforms.center",
    "flow": "mlsg.transforms.flow",
    "whitening": "mlsg.transforms.whitening",
}


def transform_names() -> list[str]:
    """Names of the known transforms, sorted, after "none"."""
    return [NONE, *sorted(_TRANSFORMS)]


def settings_class(name: str) -> type[Any]:
    """The `Settings` dataclass of a transform. Raises SettingError for an unknown name."""
    if not isinstance(name, str) or name not in _TRANSFORMS:
        raise SettingError(f"unknown transform {shown(name)} in [transform]", nearest(str(name), transform_names()))
    found: type[Any] = import_module(_TRANSFORMS[name]).Settings
    return found


def read(table: Mapping[str, Any]) -> TransformSettings | None:
    """The settings of the table `[transform]`, None without one: `{"name": "whitening", "shrinkage": 0.5}`.

    Raises SettingError for an unknown name or key, a wrong type and settings that contradict each other.
    """
    name, values = table.get("name", NONE), {key: value for key, value in table.items() if key != "name"}
    if name == NONE and values:
        raise SettingError(f"[transform] has {', '.join(values)} and no name", f"name one: {', '.join(_TRANSFORMS)}")
    if name == NONE:
        return None
    settings: TransformSettings = read_settings(settings_class(name), values, f"[transform] {name}")
    return settings


def resolved(table: Mapping[str, Any]) -> dict[str, Any] | None:
    """The table with every default written out, as the key of an encoder holds it; None without a transform."""
    settings = read(table)
    return None if settings is None else {"name": table["name"], **table_of(settings)}
