"""The cosines of the pairs of sets under an encoder, from the vectors of their sentences; and as JSON.

`cosines.json` in a `scores` artefact maps a role (`encoder`, and `base_cls` and `base_mean` where the base was
available) to its sets, and each set to `{"gold": [..], "cosine": [..], "truncated": n, "unknown": n}`, pairs in the
set's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsg.cache.artefact import Artefact
from mlsg.cache.files import canonical_json, read_json
from mlsg.data.pairs import GradedPairs
from mlsg.evaluate.statistics import Floats
from mlsg.evaluate.vectors import Rows

ENCODER = "encoder"
_FILE = "cosines.json"


@dataclass(frozen=True)
class SetCosines:
    """The pairs of one set as numbers; a cosine that is not finite is NaN."""

    gold: Floats
    cosine: Floats
    truncated: int
    unknown: int


def read_cosines(artefact: Artefact, role: str = ENCODER) -> dict[str, SetCosines]:
    """The cosines of a `scores` artefact by set; of a base that was not available there are none."""
    return {
        name: SetCosines(
            np.array(table["gold"], dtype=np.float64),
            np.array(table["cosine"], dtype=np.float64),  # null becomes NaN
            table["truncated"],
            table["unknown"],
        )
        for name, table in read_json(artefact.folder / _FILE).get(role, {}).items()
    }


def write_cosines(folder: Path, found: Mapping[str, Mapping[str, SetCosines]]) -> None:
    """Keep the cosines of each role by set."""
    tables = {role: {name: _table(each) for name, each in sets.items()} for role, sets in found.items()}
    (folder / _FILE).write_text(canonical_json(tables), "utf-8")


def distinct_sentences(sets: Sequence[GradedPairs]) -> list[str]:
    """The sentences of all sets, each once, in the order of their first occurrence."""
    return list(dict.fromkeys(text for pairs in sets for text in (*pairs.first, *pairs.second)))


def score_pairs(sentences: Sequence[str], rows: Rows, sets: Sequence[GradedPairs]) -> dict[str, SetCosines]:
    """Each pair's cosine, and each set's counts, from the rows of all sentences."""
    place = {text: number for number, text in enumerate(sentences)}
    found = {}
    for pairs in sets:
        first = np.array([place[text] for text in pairs.first])
        second = np.array([place[text] for text in pairs.second])
        used = np.unique(np.concatenate([first, second]))
        found[pairs.name] = SetCosines(
            np.array(pairs.scores, dtype=np.float64),
            cosines(rows.vectors[first], rows.vectors[second]),
            int(rows.truncated[used].sum()),
            int(rows.unknown[used].sum()),
        )
    return found


def cosines(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Cosine of corresponding rows (n, d), in float64; 0 where a vector is zero.

    Equal rows give exactly 1 (not 1 minus a rounding error), so that identical sentences stay tied.
    """
    u, v = first.astype(np.float64), second.astype(np.float64)
    products = np.einsum("nd,nd->n", u, u) * np.einsum("nd,nd->n", v, v)
    with np.errstate(invalid="ignore"):
        found: Floats = np.einsum("nd,nd->n", u, v) / np.sqrt(np.where(products == 0, 1.0, products))
    return found


def _table(scored: SetCosines) -> dict[str, Any]:
    return {
        "gold": scored.gold.tolist(),
        "cosine": [value if np.isfinite(value) else None for value in scored.cosine.tolist()],
        "truncated": scored.truncated,
        "unknown": scored.unknown,
    }
