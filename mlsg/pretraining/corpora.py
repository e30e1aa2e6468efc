"""The folder of text that a pretraining reads: `<lang>.txt[.xz]`, and `parallel.tsv[.xz]` where there are translations.

en.txt.xz            documents: a sentence a line, a blank line between two documents; then, after two blank lines,
                     single sentences that have no neighbours. A file without that block holds documents alone.
en_reviews.txt       more text of the same language
parallel.tsv.xz      lang1, lang2, text1, text2: a translation a row, no header
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlsg.cache.files import sha256_file
from mlsg.data.readers.text import text_lines
from mlsg.errors import DataError, SettingError, nearest

_NAME = re.compile(r"([a-z]{2,3})(?:_\w+)?\.txt(?:\.(?:xz|gz|zst))?")
_PAIRS = re.compile(r"parallel(?:_\w+)?\.tsv(?:\.(?:xz|gz|zst))?")


@dataclass(frozen=True)
class TextFile:
    """One file of the folder; `lang` is empty for translations."""

    path: Path
    lang: str
    sha256: str


@dataclass(frozen=True)
class Folder:
    """What lies in the folder, in the order of names."""

    texts: tuple[TextFile, ...]
    pairs: tuple[TextFile, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that have text of their own."""
        return tuple(sorted({each.lang for each in self.texts}))

    @property
    def hashes(self) -> dict[str, str]:
        """Name -> sha256 of every file."""
        return {each.path.name: each.sha256 for each in (*self.texts, *self.pairs)}


def find_corpora(folder: Path, languages: tuple[str, ...] = ()) -> Folder:
    """The files of a folder, of these languages or of all.

    Raises DataError for what is no folder, one without text and an empty file, SettingError for a language without one.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", "name the folder of <lang>.txt files with --text")
    names = sorted(path for path in folder.iterdir() if path.is_file())
    texts = [(path, match[1]) for path in names if (match := _NAME.fullmatch(path.name))]
    if not texts:
        raise DataError(f"{folder} holds no <lang>.txt or <lang>.txt.xz", "name the folder of sentence files")
    there = {lang for _, lang in texts}
    for lang in languages:
        if lang not in there:
            raise SettingError(f'{folder} holds no text of "{lang}"', nearest(lang, there))
    chosen = [(path, lang) for path, lang in texts if not languages or lang in languages]
    pairs = [(path, "") for path in names if _PAIRS.fullmatch(path.name)]
    found = {path: TextFile(path, lang, sha256_file(path)) for path, lang in (*chosen, *pairs)}
    for path in found:
        if not path.stat().st_size:
            raise DataError(f"{path} is empty", "fetch the file again, or remove it")
    return Folder(tuple(found[path] for path, _ in chosen), tuple(found[path] for path, _ in pairs))


def read_text(file: TextFile) -> tuple[list[list[str]], list[str]]:
    """(documents, single sentences). Raises DataError for a file that holds no text or cannot be read."""
    documents: list[list[str]] = [[]]
    singles: list[str] = []
    blank, single = 0, False
    for raw in text_lines(file.path):
        line = raw.strip()
        blank = 0 if line else blank + 1
        if single and line:
            singles.append(line)
        elif line:
            documents[-1].append(line)
        elif blank == 1 and documents[-1]:
            documents.append([])
        elif blank == 2 and len(documents) > 1:
            single = True
    documents = [document for document in documents if document]
    if not documents and not singles:
        raise DataError(f"{file.path} holds no text", "fill the file, or remove it")
    return documents, singles


def read_pairs(file: TextFile) -> Iterator[tuple[str, str, str, str]]:
    """(lang1, lang2, text1, text2) of every row. Raises DataError for a row of another shape."""
    for number, line in enumerate(text_lines(file.path), start=1):
        cells = line.split("\t")
        if len(cells) != 4:
            problem = f"{file.path}, line {number}: {len(cells)} columns"
            raise DataError(problem, "give four: lang1, lang2, text1, text2")
        first, second, one, other = (cell.strip() for cell in cells)
        yield first, second, one, other
