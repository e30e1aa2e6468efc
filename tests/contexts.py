"""A context as commands build it, for tests that have a workspace and a catalog at hand."""

from __future__ import annotations

from pathlib import Path

from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import Catalog
from mlsg.context import Context
from mlsg.hub import Hub


def context_of(workspace: Workspace, catalog: Catalog, data_root: Path | None = None) -> Context:
    return Context(workspace, catalog, data_root, Hub.from_environment(workspace.root))
