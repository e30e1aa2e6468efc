"""Tatoeba (Artetxe and Schwenk 2019): how often the nearest English sentence is the translation, by cosine."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlsg.model.encoder import Encoder
from mlsg.report.tables import Grid

_ARCHIVE = "tatoeba_v1.tar.xz"
_LANGUAGES = {
    "es": "spa",
    "ar": "ara",
    "tr": "tur",
    "de": "deu",
    "fr": "fra",
    "it": "ita",
    "pt": "por",
    "nl": "nld",
    "pl": "pol",
    "ru": "rus",
    "zh": "cmn",
    "ja": "jpn",
    "ko": "kor",
}


def accuracy(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Share of rows of `first` (n, d) whose nearest row of `second` (n, d) has their number."""
    left, right = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (first, second))
    return float(np.mean((left @ right.T).argmax(axis=1) == np.arange(len(left))))


def translations(data_root: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Sentences of each language and their English translations."""
    found = {}
    with tarfile.open(data_root / _ARCHIVE) as archive:
        names = set(archive.getnames())
        for code, long in _LANGUAGES.items():
            stem = f"v1/tatoeba.{long}-eng"
            if f"{stem}.{long}" in names:
                found[code] = _lines(archive, f"{stem}.{long}"), _lines(archive, f"{stem}.eng")
    return found


def table(data_root: Path, encoders: Mapping[str, Encoder]) -> Grid:
    """A row an encoder: accuracy x 100 for each language, and the mean."""
    pairs = translations(data_root)
    rows = []
    for name, encoder in encoders.items():
        each = [100 * accuracy(encoder.encode(own), encoder.encode(english)) for own, english in pairs.values()]
        rows.append((name, *(f"{value:.1f}" for value in (*each, sum(each) / len(each)))))
    columns = ("encoder", *pairs, "mean")
    return Grid("Tatoeba: translation into English found, x 100", columns, tuple(rows), columns[1:])


def _lines(archive: tarfile.TarFile, name: str) -> list[str]:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file.read().decode("utf-8").rstrip("\n").split("\n")
