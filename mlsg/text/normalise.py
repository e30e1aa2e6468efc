"""One written form for one text.

`normalise` is the form in which sentences are stored, trained on and compared for repetitions: NFC, every run of white
space one space, stripped. Tokenizers must see in it what they see in the same text at evaluation. So only those control
characters go that BERT's normaliser and that of sentencepiece both delete; format characters all stay, since one makes
nothing and another a space of U+200B, and flags and many scripts are written with them. No change of spelling, quotes,
digits or width (NFKC), nothing that could touch what a sentence means. With evaluation sentences they are compared in
the form of `mlsg.text.matching`.

Sources: UAX #15 (normal forms); the normalisers of `tokenizers` (BertNormalizer) and of sentencepiece (nmt_nfkc).
"""

from __future__ import annotations

import re
import unicodedata

# What every tokenizer deletes, and lone surrogates, which no UTF-8 file can hold. White space is not in it.
_DELETED = re.compile("[\x01-\x08\x0e-\x1b\x7f\x8f\x9f\ud800-\udfff]+")


def normalise(text: str) -> str:
    r"""Return the stored form: `"Cafe\u0301\xa0 noir\n"` -> `"Café noir"`. Applying it twice changes nothing."""
    text = unicodedata.normalize("NFC", text)
    if not text.isprintable():  # a control or format character, a surrogate, white space but the plain one
        text = unicodedata.normalize("NFC", _DELETED.sub("", text))
    return " ".join(text.split())


def normalise_lines(text: str) -> list[str]:
    """Return the stored form of each line (they end at LF): as `normalise` for each, several times as fast.

    NFC never reaches over a line break, so all lines are composed at once; most need nothing more.
    """
    return [
        line.strip(" ") if line.isprintable() and "  " not in line else normalise(line)
        for line in unicodedata.normalize("NFC", text).split("\n")
    ]
