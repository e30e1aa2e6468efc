"""What a command works in: the workspace, the known languages, where original files are, and the hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import Catalog, load_catalog
from mlsg.config.resources import DEFAULT_WORKSPACE
from mlsg.errors import SettingError
from mlsg.hub import Hub

Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Context:
    """Built once for a command and handed down to its stages."""

    workspace: Workspace
    catalog: Catalog
    data_root: Path | None  # folder with the original files of evaluation sets and corpora
    hub: Hub


def open_context(
    workspace: str | Path | None = None, langs_dirs: Paths = (), data_root: str | Path | None = None
) -> Context:
    """The context of a workspace folder, with the user's own languages.

    None is what the environment says: `$MLSG_WORKSPACE`, else `./.mlsg`; `$MLSG_DATA_ROOT`, else no original files.
    Raises SettingError for a folder that does not exist (the workspace may be new).
    """
    root = Path(workspace or os.environ.get("MLSG_WORKSPACE") or DEFAULT_WORKSPACE).absolute()
    original_files = [Path(each) for each in [data_root or os.environ.get("MLSG_DATA_ROOT")] if each]
    langs = paths_of(langs_dirs)
    for folder in (*langs, *original_files):
        if not folder.is_dir():
            raise SettingError(f"no folder {folder}", "name one that exists")
    return Context(Workspace(root), load_catalog(langs), next(iter(original_files), None), Hub.from_environment(root))


def paths_of(given: Paths) -> list[Path]:
    """One path or several, as a list."""
    return [Path(given)] if isinstance(given, str | Path) else [Path(each) for each in given]
