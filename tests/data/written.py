"""Small sets written for a test: a TOML of the user's own, its files beside it, and a hub that only pretends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlsg.config.catalog import Catalog, HubSource, load_catalog
from mlsg.data.pairs import GradedPairs, LocatedSet, locate_set, read_pairs
from mlsg.errors import HubUnreachableError
from mlsg.hub import Hub


class PretendedHub(Hub):
    """Serves the rows it is given, at one commit; what it is asked for is kept in `asked`."""

    def __init__(self, rows: Mapping[str, list[dict[str, Any]]] | None = None, why: str = "no network here") -> None:
        super().__init__(None)
        object.__setattr__(self, "tables", rows or {})
        object.__setattr__(self, "why", why)
        object.__setattr__(self, "asked", [])

    tables: Mapping[str, list[dict[str, Any]]]
    why: str
    asked: list[HubSource]

    def why_unreachable(self) -> str:
        return self.why

    def check(self, source: HubSource) -> str:
        if source.path not in self.tables:
            raise HubUnreachableError(f"data set {source.path} is out of reach ({self.why})", "connect to the network")
        return self.resolve(source.path, source.revision) or ""

    def available(self, source: HubSource) -> str:
        return "" if source.path in self.tables else self.why

    def resolve(self, repo: str, revision: str = "main", kind: Any = "dataset") -> str | None:
        return revision if len(revision) == 40 else "c" * 40

    def rows(self, source: HubSource) -> Iterator[Mapping[str, Any]]:
        self.asked.append(source)
        rows = self.tables[source.path]
        yield from (row for row in rows if all(row[key] == value for key, value in source.where.items()))

    def stream(self, source: HubSource) -> Iterator[Mapping[str, Any]]:
        self.asked.append(source)
        yield from self.tables[source.path]


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files, text as UTF-8 with its line ends untouched."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def catalog_of(folder: Path, table: str, files: Mapping[str, str | bytes], name: str = "mine.xx") -> Catalog:
    """Our catalog and one more language, xx, with one set whose table is `table`."""
    write(folder, {**files, "xx.toml": f'code = "xx"\n[sets."{name}"]\n{table}\n'})
    return load_catalog([folder])


def read(folder: Path, table: str, files: Mapping[str, str | bytes], hub: Hub | None = None) -> GradedPairs:
    """The pairs of the set mine.xx that `table` declares over `files`."""
    hub = hub or PretendedHub()
    located = locate_set(catalog_of(folder, table, files).pair_set("mine.xx"), None, hub)
    assert isinstance(located, LocatedSet), located
    return read_pairs(located, hub)


def rows_of(pairs: GradedPairs) -> list[tuple[str, str, float]]:
    """Pairs as triples."""
    return list(zip(pairs.first, pairs.second, pairs.scores, strict=True))
