"""How long a sentence is, and whether it is fit to be one, in scripts with and without spaces.

A character of a script that is written without spaces between words counts 3, about what a letter-by-letter spelling of
the same would take; its combining marks count nothing. So one pair of limits suits English, Japanese and Thai.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal

Unfit = Literal["empty", "too_short", "too_long", "no_letters"]

# Thai and Lao, Tibetan, Myanmar, Khmer, New Tai Lue, Tai Tham, Balinese, Kana, Bopomofo, Han, Yi, Javanese, Tai Viet.
_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007"
    "\u3021-\u3029\u3031-\u3035\u3041-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua000-\ua4cf\ua980-\ua9df\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f"
    "\U00020000-\U0003ffff"
)
_RUNS = re.compile(f"[{_UNSPACED}]+")


def length(text: str) -> int:
    """Return the characters of `text`, those of unspaced scripts three times: `"cat"` -> 3, `"猫だ"` -> 6."""
    if text.isascii():
        return len(text)
    unspaced = "".join(_RUNS.findall(text))
    return len(text) + sum(map(_further, unspaced))


def unfit(text: str, min_chars: int, max_chars: int) -> Unfit | None:
    """Say why a normalised text is not a sentence to train on, or None."""
    if not text:
        return "empty"
    size = length(text)
    if size < min_chars:
        return "too_short" if any(map(str.isprintable, text)) else "empty"  # format characters alone show nothing
    if size > max_chars:
        return "too_long"
    return None if text[0].isalpha() or any(map(str.isalpha, text)) else "no_letters"


@cache
def _further(char: str) -> int:
    """What a character of an unspaced script counts besides 1."""
    return -1 if unicodedata.category(char)[0] == "M" else 2
