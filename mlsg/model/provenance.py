"""What an encoder folder says of its own making (`mlsg.json`), read for tables and model cards.

A foreign folder has no such file: then nothing is known, and nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlsg.model.folder import read_provenance


@dataclass(frozen=True)
class Provenance:
    """How an encoder was made.

    `trained` says whether there was any training text (None: not known). `transductive` names the families of texts
    that this text holds by declaration; `found` counts, for each pair set that it was compared with, the lines of it
    that are sentences of the set. `prompt` stood before each sentence; `dropped` are modules of the base (Dense, ...)
    that were left out.
    """

    base: str = ""
    base_revision: str = ""
    base_fingerprint: str = ""
    objective: str = ""
    objective_settings: Mapping[str, Any] = field(default_factory=dict)
    train_settings: Mapping[str, Any] = field(default_factory=dict)
    pooling: str = ""
    layer: int | None = None
    base_layers: int | None = None
    dimension: int | None = None
    trained: bool | None = None
    lang: str = ""
    corpus: str = ""
    licence: str = ""
    prompt: str = ""
    dropped: tuple[str, ...] = ()
    sentences: int | None = None
    transductive: frozenset[str] = frozenset()
    found: Mapping[str, int] = field(default_factory=dict)

    @property
    def base_is_local(self) -> bool:
        """Whether the base was a folder (or the starter), not a model of the hub."""
        return is_local(self.base_fingerprint)


def is_local(fingerprint: str) -> bool:
    """Whether a model was read from a folder: the fingerprint of a hub model is `owner/name@commit`, else a sha256."""
    return "@" not in fingerprint


def name_of(model: str, fingerprint: str) -> str:
    """A model for people: `../models/mini/` -> `mini`; with a hub fingerprint `owner/name` -> `owner/name`."""
    if not is_local(fingerprint) or not model:
        return model
    return Path(model).name or Path(model).resolve().name


def provenance_in(folder: Path) -> Provenance | None:
    """The provenance of an encoder folder, None if mlsg did not write it. Raises ModelError if it cannot be read."""
    table = read_provenance(folder)
    return provenance_of(table) if table else None


def provenance_of(table: Mapping[str, Any]) -> Provenance:
    """The provenance in the table of an `mlsg.json`; what the table does not say stays empty."""
    base, objective, text = _table(table, "base"), _table(table, "objective"), _table(table, "sentences")
    encoder = _table(table, "encoder")
    settings = {name: value for name, value in objective.items() if name != "name"}
    return Provenance(
        base=str(base.get("name", "")),
        base_revision=str(base.get("revision", "")),
        base_fingerprint=str(base.get("fingerprint", "")),
        objective=str(objective.get("name", "")),
        objective_settings=settings,
        train_settings=_table(table, "train"),
        pooling=str(encoder.get("pooling", "")),
        layer=encoder.get("layer"),
        base_layers=encoder.get("base_layers"),
        dimension=encoder.get("dimension"),
        trained=bool(table["sentences"]) if "sentences" in table else None,
        lang=str(text.get("lang", "")),
        corpus=str(text.get("corpus", "")),
        licence=str(text.get("licence", "")),
        prompt=str(table.get("prompt", "")),
        dropped=tuple(map(str, table.get("dropped", ()))),
        sentences=text.get("kept"),
        transductive=frozenset(text.get("transductive", ())),
        found={name: _remained(count) for name, count in _table(text, "evaluation").items()},
    )


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = table.get(name)
    return value if isinstance(value, Mapping) else {}


def _remained(count: object) -> int:
    """Lines of the training text that are sentences of a set: `{"kept": 3, "dropped": 40}` -> 3."""
    return int(count["kept"]) if isinstance(count, Mapping) and "kept" in count else 0
