r"""The forms in which training text is compared with evaluation sentences.

`match_form` is the stored form without case and without what some copies of a text have and others do not: Arabic vowel
signs (harakat) and tatweel, Hebrew points, joiners. I, i and the Turkish and Azeri İ, ı are one letter: which is the
other's capital depends on the language, which is not asked. Hamza and madda stay, being part of a letter. `near_form`
leaves out white space and final punctuation too. No other likeness is looked for.

Source: Unicode 15.1, 3.13 (caseless matching) and SpecialCasing.txt (İ, ı).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from mlsg.text.normalise import normalise

_UNWRITTEN = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u08d3-\u08e1\u08e3-\u08ff"
    "\x80-\x84\x86-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]+"
)
# Where folding case is more than `casefold`: iota below folds to a letter, so its place among the marks counts.
_IOTA = re.compile("[\u0345\u1f80-\u1fff]")
# All of both, and more, by what it is not, the most frequent first: that is searched twice as fast.
_ODD = re.compile(
    "[^\0-\x7f\xa0-\xac\xae-\u0344\u0346-\u0590\u0900-\u1f7f\u2010-\u2029\u2070-\ufefe\U00010000-\U0001bc9f"
    "\U0001d17b-\U000dffff]"
)
_DOTTED = re.compile("(?<=i)([\u0300-\u0306\u0308-\u036f]*)\u0307+")  # marks below come before the dot


def match_form(text: str) -> str:
    """Return the form that is compared: `" The  Cat"` -> `"the cat"`, `"كِتَاب"` -> `"كتاب"`, `"IŞIK"` -> `"işik"`."""
    text = normalise(text)
    if text.isascii():
        return text.lower()
    # Decomposed first, so that canonically equal texts stay equal (D145).
    bare = unicodedata.normalize("NFD", _UNWRITTEN.sub("", text))
    return " ".join(unicodedata.normalize("NFC", _one_i(bare.casefold())).split())


def match_forms(stored: Sequence[str]) -> list[str]:
    """Return the `match_form` of each of several stored forms, several times as fast."""
    text = "\n".join(stored)
    odd = _ODD.search(text) is not None
    if odd and (bare := _UNWRITTEN.sub("", text)) != text:
        # A removal may leave two spaces, and lets marks meet and be reordered.
        lines = (" ".join(line.split()) for line in bare.split("\n"))
        text = unicodedata.normalize("NFC", "\n".join(lines))
    if "İ" in text or "\u0307" in text:  # as `match_form` does: marks of other scripts may stand before the dot
        text = unicodedata.normalize("NFD", text)
    forms = unicodedata.normalize("NFC", _one_i(text.casefold())).split("\n")
    if odd and _IOTA.search(text):
        forms = [match_form(s) if _IOTA.search(s) else form for s, form in zip(stored, forms, strict=True)]
    return forms if stored else []


def near_form(form: str) -> str:
    """Return a match form without white space and final punctuation: `"a cat ."` -> `"acat"`, `"?"` -> `""`."""
    form = form.replace(" ", "")
    while form and unicodedata.category(form[-1]).startswith("P"):
        form = form[:-1]
    return form


def _one_i(folded: str) -> str:
    """Case-folded text with one letter i."""
    folded = folded.replace("ı", "i")
    return _DOTTED.sub(r"\1", folded) if "\u0307" in folded else folded
