"""Small pair sets of two invented languages, declared in a TOML as a user would, and tiny encoders to score them."""

from __future__ import annotations

import itertools
from pathlib import Path

from mlsg.config.catalog import Catalog, load_catalog
from tests.tiny_models import SENTENCES

TOML = """
code = "aa"
name = "Aish"

[corpora.own]
files = "sentences.txt"

[sets."small.aa"]
files = "aa.tsv"
columns = ["sentence1", "sentence2", "score"]
primary = true
texts = ["small"]

[sets."small.aa-bb"]
files = "aa-bb.tsv"
columns = ["sentence1", "sentence2", "score"]
languages = ["aa", "bb"]
made = "machine_translation"

[sets."gone.aa"]
files = "gone.tsv"
columns = ["sentence1", "sentence2", "score"]
"""

ODD = ("a", " b  ", "🦉🦉 owl", "Ça, c'est tre\u0301s dro\u0302le", "x " * 200)


def pairs() -> list[tuple[str, str, float]]:
    """31 pairs with tied scores, among them identical, very short, over-long and non-ASCII sentences."""
    texts = list(itertools.islice(itertools.permutations([*SENTENCES[:7], *ODD], 2), 3, 132, 5))
    found = [(a, b, float(len({*a.split()} & {*b.split()}) + place % 4)) for place, (a, b) in enumerate(texts)]
    return [*found, *((text, text, 5.0) for text in SENTENCES[:5])]


def write_sets(folder: Path) -> Path:
    """Write the TOML and its files into `folder`; the file of `gone.aa` is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "aa.toml").write_text(TOML, encoding="utf-8")
    (folder / "sentences.txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    for name, rows in (("aa.tsv", pairs()), ("aa-bb.tsv", pairs()[:9])):
        lines = [f"{a}\t{b}\t{score}" for a, b, score in rows]
        (folder / name).write_text("\n".join(["sentence1\tsentence2\tscore", *lines]) + "\n", encoding="utf-8")
    return folder


def small_catalog(folder: Path) -> Catalog:
    return load_catalog([write_sets(folder)])
