"""One written form for one text.

`normalise` is the form in which sentences are stored, trained on and compared for repetitions: NFC, every run of white
space one space, stripped. Tokenizers must see in it what they see in the same text at evaluation. So only those control
characters go that BERT's normaliser and that of sentencepiece both delete; format characters all stay, since one makes
nothing and another a space of U+200B, and flags and many scripts are written with them. No change of spelling, quotes,
digits or width (NFKC), nothing that could touch what a sentence means.

`match_form` is the form in which sentences are compared with evaluation sentences: the same, case-folded, without
control and format characters but for those that are visible (the Arabic number signs and their kin) and those that
shape words: the Mongolian vowel separator, the zero-width joiner and non-joiner after a character of a script that
joins or stacks (Arabic, the Indic scripts, Khmer, ...), and the joiner inside an emoji sequence.

Sources: Unicode 15.1, chapter 23.2 (cursive connection) and UAX #15 (normal forms); the normalisers of `tokenizers`
(BertNormalizer) and of sentencepiece (nmt_nfkc).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# What every tokenizer deletes, and lone surrogates, which no UTF-8 file can hold. White space is not in it.
_DELETED = re.compile("[\x01-\x08\x0e-\x1b\x7f\x8f\x9f\ud800-\udfff]+")
# Cc and Cf but for the exceptions above, and the same surrogates.
_REMOVED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]+"
)
_SHAPED = (
    "\u0600-\u0dff\u0f00-\u109f\u1780-\u18af\u1a20-\u1aaf\u1b00-\u1bff\ua840-\uaaff\uabc0-\uabff\ufb50-\ufdff"
    "\ufe70-\ufefc\U00010a00-\U00010fff\U00011000-\U00011fff"
)
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_IDLE_JOINERS = re.compile(
    f"(?<![{_SHAPED}])\u200c|(?<![{_SHAPED}{_EMOJI}\ufe0f])\u200d|(?<=[{_EMOJI}\ufe0f])\u200d(?![{_EMOJI}])"
)


# Where folding case is more than `casefold`: iota below (it folds to a letter, so its place among the marks counts).
_FOLDED_BY_ONE = re.compile("[\u0345\u1f80-\u1fff]")


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


def match_form(text: str) -> str:
    """Return the form that is compared with evaluation sentences: `" The  Cat"` -> `"the cat"`."""
    text = _visible(text)
    if text.isascii():
        return text.lower()
    # Decomposed first, so that canonically equal texts stay equal (Unicode 3.13, D145).
    return _visible(unicodedata.normalize("NFD", text).casefold())


def match_forms(stored: Sequence[str]) -> list[str]:
    """Return the `match_form` of each of several stored forms, several times as fast."""
    if not stored:
        return []
    text = "\n".join(stored)
    forms = unicodedata.normalize("NFC", text.casefold()).split("\n")
    if text.replace("\n", " ").isprintable() and not _FOLDED_BY_ONE.search(text):
        return forms
    plain = [line.isprintable() and not _FOLDED_BY_ONE.search(line) for line in stored]
    return [form if is_plain else match_form(line) for line, form, is_plain in zip(stored, forms, plain, strict=True)]


def _visible(text: str) -> str:
    """The stored form without the format characters that neither show nor shape a word."""
    text = normalise(text)
    if text.isprintable():
        return text
    text = _REMOVED.sub("", text)
    while "\u200c" in text or "\u200d" in text:
        # A removal lets marks meet and be reordered, which may leave another joiner idle.
        kept = unicodedata.normalize("NFC", _IDLE_JOINERS.sub("", text))
        if kept == text:
            break
        text = kept
    return " ".join(unicodedata.normalize("NFC", text).split())
