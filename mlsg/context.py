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


@dataclass(frozen=True)
class Context:
    """Built once for a command and handed down to its stages."""

    workspace: Workspace
    catalog: Catalog
    data_root: Path | None  # folder with the original files of evaluation sets and corpora
    hub: Hub


def open_context(
    workspace: Path | None = None, langs_dirs: Sequence[Path] = (), data_root: Path | None = None
) -> Context:
    """The context of a workspace folder, with the user's own languages.

    None is what the environment says: `$MLSG_WORKSPACE`, else `./.mlsg`; `$MLSG_DATA_ROOT`, else no original files.
    Raises SettingError for a folder that does not exist (the workspace may be new).
    """
    workspace = workspace or Path(os.environ.get("MLSG_WORKSPACE") or DEFAULT_WORKSPACE)
    if data_root is None and os.environ.get("MLSG_DATA_ROOT"):
        data_root = Path(os.environ["MLSG_DATA_ROOT"])
    for folder in (*langs_dirs, *([data_root] if data_root else [])):
        if not folder.is_dir():
            raise SettingError(f"no folder {folder}", "name one that exists")
    root = workspace.absolute()
    return Context(Workspace(root), load_catalog(langs_dirs), data_root, Hub.from_environment(root))
