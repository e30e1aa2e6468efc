"""Where files are: the workspace by default, and what comes with mlsg, which is languages, recipes and the starter.

`langs/` and `pipelines/` are at the top of a checkout and inside the package of a wheel (pyproject: force-include).
"""

from __future__ import annotations

from pathlib import Path

DEFAULT_WORKSPACE = Path(".mlsg")
_PACKAGE = Path(__file__).resolve().parents[1]


def resource_folder(name: str) -> Path:
    """The folder `langs` or `pipelines`, in a wheel, an editable install or a bare clone."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def starter_folder() -> Path:
    """The embedded default: `model/`, `sentences/`, `pairs/`."""
    return _PACKAGE / "starter"
