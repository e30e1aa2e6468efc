"""Every text under --data-root, so that pretraining sees none of it: sentences, cells, strings, whatever the format.

Read generously and not by declarations: a set that no language TOML declares is kept out too. Two texts are the same
when their `match_form` is, or, from ten characters on, when their letters and digits are.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlsg.config.schema import PACKED
from mlsg.data.readers.packed import byte_blocks
from mlsg.errors import SettingError
from mlsg.text.matching import match_form

_ASIDE = re.compile(r"[\W_]+")
_TAG = re.compile(r"<[^<>]*>")
_LARGEST_CELL = 1 << 24


class EvaluationTexts:
    """Which texts are evaluation sentences, and where each stands: `where("Ein Satz.") -> "STS2017"`."""

    def __init__(self) -> None:
        self._where: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._where)

    def add(self, text: str, where: str) -> None:
        """Take in one text."""
        form = _form(text)
        if form:
            self._where.setdefault(form, where)

    def where(self, text: str) -> str:
        """The part of --data-root that holds this text, or nothing."""
        return self._where.get(_form(text), "")


def evaluation_texts(data_root: Path | None) -> EvaluationTexts:
    """Everything under `data_root`. Raises SettingError for what is no folder."""
    found = EvaluationTexts()
    if data_root is None:
        return found
    if not data_root.is_dir():
        raise SettingError(f"--data-root {data_root} is no folder", "name the folder that holds the original files")
    for path in sorted(data_root.rglob("*")):
        if path.is_file():
            part = path.relative_to(data_root).parts[0]
            for name, content in _contents(path):
                for text in _texts(name, content):
                    found.add(text, part)
    return found


def _form(text: str) -> str:
    form = match_form(text)
    letters = _ASIDE.sub("", form)
    return letters if len(letters) >= 10 else form


def _contents(path: Path) -> Iterator[tuple[str, str]]:
    """Name and text of a file, or of every file of an archive."""
    if ".tar" in path.name:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, _decoded(file.read())
        return
    yield (path.stem if path.suffix in PACKED else path.name), _decoded(b"".join(byte_blocks(path)))


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _texts(name: str, content: str) -> Iterator[str]:
    """Lines, their cells at tabs, and what the format calls a cell or a string."""
    kind = name.rpartition(".")[2].lower()
    for line in content.split("\n"):
        yield line
        if "\t" in line:
            yield from line.split("\t")
    if kind == "csv":
        csv.field_size_limit(_LARGEST_CELL)
        for delimiter in (",", ";"):
            for row in csv.reader(io.StringIO(content, newline=""), delimiter=delimiter):
                yield from row
    elif kind in ("json", "jsonl"):
        for record in _records(content):
            yield from _strings(record)
    elif kind in ("xml", "html", "sgm"):
        yield from _TAG.split(content)


def _records(content: str) -> Iterator[Any]:
    try:
        yield json.loads(content)
    except ValueError:
        for line in content.split("\n"):
            try:
                yield json.loads(line)
            except ValueError:
                continue  # its line was taken in as it stands


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
