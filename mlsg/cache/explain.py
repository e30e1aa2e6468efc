"""Why an artefact was built, or would be: how its request differs from the nearest artefact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.workspace import Help, Make, Workspace


class NotBuiltError(Exception):
    """Raised by `DryRunWorkspace.build` for a request that has no finished artefact."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.folder_name)
        self.request = request


class DryRunWorkspace(Workspace):
    """A workspace in which nothing is built: stages run up to the first artefact that is missing."""

    def build(
        self, request: Request, make: Make, *, recipe: Mapping[str, Any] | None = None, help_make: Help | None = None
    ) -> Artefact:
        """The finished artefact, or NotBuiltError."""
        found = self.find(request)
        if found is None:
            raise NotBuiltError(request)
        return found

    def remember(self, role: str, artefact: Artefact) -> None:
        """A dry run leaves no trace."""


def differences(wanted: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Entries in which two identities differ: `settings.train.seed: 1 -> 2` reads `other has 1, wanted has 2`."""
    old, new = dict(_flat(other)), dict(_flat(wanted))
    return [
        f"{name}: {_short(old.get(name))} -> {_short(new.get(name))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def nearest_artefact(
    identity: Mapping[str, Any], stage: str, workspace: Workspace, except_key: str = ""
) -> tuple[Artefact, list[str]] | None:
    """The artefact of the same stage with the fewest differing entries, and those entries."""
    ranked = [
        (differences(identity, identity_of(artefact)), artefact)
        for artefact in workspace.artefacts(stage)
        if artefact.key != except_key
    ]
    if not ranked:
        return None
    entries, artefact = min(ranked, key=lambda pair: (len(pair[0]), pair[1].folder.name))
    return artefact, entries


def identity_of(artefact: Artefact) -> dict[str, Any]:
    """The table from which an artefact's key was made."""
    return {name: artefact.manifest[name] for name in ("stage", "format", "settings", "inputs", "fingerprints")}


def explain_built(artefact: Artefact, workspace: Workspace) -> list[str]:
    """Lines that say why this finished artefact was built and not an older one used."""
    nearest = nearest_artefact(identity_of(artefact), artefact.stage, workspace, except_key=artefact.key)
    lines = [f"{artefact.stage}: {artefact.folder.name} is up to date"]
    return lines + _because(nearest, "it differs from")


def explain_missing(request: Request, workspace: Workspace) -> list[str]:
    """Lines that say why a stage that is not built yet would be."""
    nearest = nearest_artefact(request.identity, request.stage, workspace)
    lines = [f"{request.stage}: {request.folder_name} would be built"]
    return lines + (_because(nearest, "nearest is") or [f"  there are no {request.stage} artefacts yet"])


def _because(nearest: tuple[Artefact, list[str]] | None, words: str) -> list[str]:
    if nearest is None:
        return []
    artefact, entries = nearest
    return [f"  {words} {artefact.folder.name} in:", *(f"    {entry}" for entry in entries)]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _short(value: object) -> str:
    text = "(none)" if value is None else str(value)
    return f"{text[:12]}..." if len(text) == 64 and " " not in text else text
