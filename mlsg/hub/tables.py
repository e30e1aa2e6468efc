"""The tables of a data set in the cache of `datasets`: found by commit, without importing that library.

`datasets` itself, when offline, takes the newest cached revision whatever was asked for; a pinned revision must be the
one that is read, or none. A fetched table lies in `<cache>/<owner>___<name>/<configuration>/<version>/<commit>/` and
its folder appears in one rename, so what is there is whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg.hub import libraries
from mlsg.hub.revisions import repository_folder

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

UNNAMED = (None, "", "default")
"""Configurations that are asked for without a name, so that the data set's own default one is taken."""


def cached_table(source: HubSource, commit: str) -> list[Path]:
    """The Arrow files of a split at a commit, in order; empty when they are not in the cache."""
    folder = _folder(source, commit)
    if folder is None:
        return []
    shard = re.compile(rf"{re.escape(_stem(folder))}-{re.escape(source.split)}(?:-\d{{5}}-of-(\d{{5}}))?\.arrow")
    found = [(path, match) for path in sorted(folder.iterdir()) if (match := shard.fullmatch(path.name))]
    declared = int(found[0][1].group(1) or 1) if found else 0
    return [path for path, _ in found] if len(found) == declared else []


def read_table(files: list[Path]) -> Any:
    """A `datasets.Dataset` over these files, mapped and not read into memory."""
    datasets = libraries.datasets()
    return datasets.concatenate_datasets([datasets.Dataset.from_file(str(path)) for path in files])


def _folder(source: HubSource, commit: str) -> Path | None:
    """The one folder of the configuration at the commit."""
    found: dict[str, Path] = {}
    for data_set in _data_set_folders(source.path):
        found.update({path.parts[-3]: path for path in data_set.glob(f"*/*/{commit}") if path.is_dir()})
    if source.config not in UNNAMED:
        return found.get(str(source.config))
    name = _default_configuration(source.path, commit)
    if name or "default" in found:
        return found.get(name or "default")
    # A data set that declares no configurations has only one, whatever it is called.
    return next(iter(found.values())) if len(found) == 1 else None


def _data_set_folders(path: str) -> list[Path]:
    """Where tables of a data set may lie; `datasets` spells `STSBenchmarkv2` as `sts_benchmarkv2`."""
    owner, _, name = path.rpartition("/")
    cache = libraries.datasets_cache()
    if not cache.is_dir():
        return []
    wanted = _plain(name)
    prefix = f"{owner}___" if owner else ""
    names = (entry for entry in cache.iterdir() if entry.is_dir() and entry.name.startswith(prefix))
    return [entry for entry in names if _plain(entry.name.removeprefix(prefix)) == wanted]


def _default_configuration(path: str, commit: str) -> str:
    """The configuration that the data set's card makes the default one, or "" where it declares none."""
    card = repository_folder("dataset", path) / "snapshots" / commit / "README.md"
    if not card.is_file():
        return ""
    from yaml import YAMLError

    try:
        declared = libraries.hub().metadata_load(card) or {}
    except YAMLError:
        return ""  # `datasets` cannot have made a table of it; when it is asked, it says so
    configurations = declared.get("configs") or []
    for entry in configurations:
        if len(configurations) == 1 or entry.get("default") or entry.get("config_name") == "default":
            return str(entry.get("config_name", "default"))
    return ""


def _stem(folder: Path) -> str:
    return folder.parts[-4].rpartition("___")[2]


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
