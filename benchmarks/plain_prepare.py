"""What `mlsg prepare` is measured against: a plain loop over the lines that does the same to each, and no more.

    python -m benchmarks.plain_prepare SOURCE TARGET

It cannot go on when it is killed, holds every sentence in memory, and writes down nothing of what it did.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from mlsg.config.resources import starter_folder

_REMOVED = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_UNSPACED = re.compile("[\u3041-\u30ff\u3400-\u9fff]")


def evaluation_forms() -> set[str]:
    """Both sentences of every English pair that comes with mlsg, case-folded."""
    lines = (starter_folder() / "pairs" / "en.tsv").read_text(encoding="utf-8").splitlines()
    return {form(normal(cell)) for line in lines[1:] for cell in line.split("\t")[:2]}


def normal(text: str) -> str:
    """NFC, no control characters, single spaces."""
    return " ".join(_REMOVED.sub("", unicodedata.normalize("NFC", text)).split())


def form(text: str) -> str:
    """What is compared with evaluation sentences."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def kept(source: Path) -> Iterator[str]:
    """The lines that are kept."""
    evaluation, seen = evaluation_forms(), set[str]()
    with source.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            text = normal(line)
            if not 10 <= len(text) + 2 * len(_UNSPACED.findall(text)) <= 400:
                continue
            if not any(map(str.isalpha, text)) or form(text) in evaluation or text in seen:
                continue
            seen.add(text)
            yield text


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w", encoding="utf-8", newline="\n") as target:
        target.writelines(f"{text}\n" for text in kept(Path(sys.argv[1])))
