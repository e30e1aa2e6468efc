"""The text as token ids, made once and kept in the out folder: `prepared/tokens.safetensors` and `prepared/facts.json`.

All lines of all languages stand one after another: first the languages in the order of their codes, each with its
documents and then its single lines, then the translations, two lines a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from mlsg.cache.files import read_json, readable_json, sync_tree


@dataclass(frozen=True)
class Store:
    """Line i is `ids[starts[i]:starts[i + 1]]`."""

    ids: np.ndarray
    """All token ids, uint16 or uint32."""
    starts: np.ndarray
    """(lines + 1,) int64."""
    documents: Mapping[str, np.ndarray]
    """Language -> the first line of every document, then the first single line, then the end of the language."""
    pairs: int
    """The first line of the translations."""
    pair_langs: np.ndarray
    """(rows, 2): numbers of the languages of every translation."""
    languages: tuple[str, ...]
    """All that occur, sorted; the numbers of languages are places in it."""
    facts: Mapping[str, Any]

    @property
    def lengths(self) -> np.ndarray:
        """(lines,) tokens of every line."""
        return np.diff(self.starts)

    def line(self, number: int) -> np.ndarray:
        """The ids of a line."""
        return self.ids[self.starts[number] : self.starts[number + 1]]

    def tokens_of(self, lang: str) -> int:
        """Tokens of a language's own text."""
        bounds = self.documents[lang]
        return int(self.starts[bounds[-1]] - self.starts[bounds[0]])


def save_store(folder: Path, store: Store) -> None:
    """Write both files into `folder`, which another name should take once they are there."""
    tensors = {f"documents/{lang}": bounds for lang, bounds in store.documents.items()}
    tensors |= {"ids": store.ids, "starts": store.starts, "pair_langs": store.pair_langs}
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / "tokens.safetensors")
    facts = {"pairs": store.pairs, "languages": list(store.languages), **store.facts}
    (folder / "facts.json").write_text(readable_json(facts), encoding="utf-8")
    sync_tree(folder)


def load_store(folder: Path) -> Store:
    """Read what `save_store` wrote."""
    tensors, facts = load_file(folder / "tokens.safetensors"), read_json(folder / "facts.json")
    prefix = "documents/"
    documents = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return Store(
        tensors["ids"],
        tensors["starts"],
        documents,
        facts["pairs"],
        tensors["pair_langs"],
        tuple(facts["languages"]),
        facts,
    )
