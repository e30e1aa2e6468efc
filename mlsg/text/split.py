"""Documents to sentences, in any language.

The splitter is sentencex (Wikimedia, MIT): rules for some 300 languages with fallbacks for the rest, one compiled file
of 4 MB, no dependency, wheels for Linux, macOS and Windows, and frequent releases. It was chosen over pysbd (last
released in 2021, 23 languages, 50 times slower), syntok (Latin and Cyrillic scripts only) and blingfire (99 MB, last
released in 2021; splits some Latin-script languages better, Hindi hardly at all). On paragraphs put together from
sentences of twenty languages it found 77 to 96% of the boundaries, and 90 to 99% of those that it named were right,
at 8 to 25 million characters a second; Thai is the exception.

Thai and Lao have no mark for the end of a sentence: spaces stand between clauses. There a piece that is too long for
one sentence is cut at spaces, into pieces as long as fit. That a piece is then a sentence is not promised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

from mlsg.text.length import length

_UNMARKED = re.compile("[\u0e01-\u0eff]")
_LONGEST_PIECE = 240  # in the measure of mlsg.text.length: 80 characters, about a Thai sentence


def splitter() -> str:
    """Return the name and version of the splitter, since another version may split differently."""
    from importlib.metadata import version

    return f"sentencex {version('sentencex')}"


def split(document: str, lang: str) -> Iterator[str]:
    """Yield the sentences of a document in their order; a line break always ends one."""
    for line in document.splitlines():
        for sentence in sentencex.segment(lang, line):
            if stripped := sentence.strip():
                yield from _pieces(stripped)


def _pieces(sentence: str) -> Iterator[str]:
    if length(sentence) <= _LONGEST_PIECE or not _UNMARKED.search(sentence):
        yield sentence
        return
    piece = ""
    for clause in sentence.split():
        joined = f"{piece} {clause}" if piece else clause
        if piece and length(joined) > _LONGEST_PIECE:
            yield piece
            joined = clause
        piece = joined
    yield piece
