"""Small data sets in the shapes that real ones have on the hub."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow
from pyarrow import parquet

PAIRS = (
    {"sentence1": "El tren llega tarde.", "sentence2": "El tren se retrasa.", "score": 4.5, "lang": "es-es"},
    {"sentence1": "القطة نائمة", "sentence2": "الولد يقرأ", "score": 0.5, "lang": "ar-ar"},
    {"sentence1": "", "sentence2": "Zwölf Bäume 🌳", "score": 0.0, "lang": "en-de"},
    {"sentence1": "Una casa roja", "sentence2": "Una casa azul", "score": 2.0, "lang": "es-es"},
)
COLUMNS = ("sentence1", "sentence2", "score")

Files = Mapping[str, bytes | str]


def as_parquet(rows: Sequence[Mapping[str, Any]], group: int = 1000) -> bytes:
    """The rows as a parquet file of row groups of `group` rows."""
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), file, row_group_size=group)
    return file.getvalue()


def as_jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def card(configs: Mapping[str, Mapping[str, str]], default: str = "") -> str:
    """A data set card that declares configurations: name -> split -> file."""
    lines = ["---", "configs:"]
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", *(["  default: true"] if name == default else []), "  data_files:"]
        lines += [line for split, path in splits.items() for line in (f"  - split: {split}", f"    path: {path}")]
    return "\n".join([*lines, "---", "# A data set", ""])


def plain_parquet(rows: Sequence[Mapping[str, Any]] = PAIRS) -> Files:
    """One configuration without a card, as MTEB's sets are stored."""
    return {"data/test-00000-of-00001.parquet": as_parquet(rows)}
