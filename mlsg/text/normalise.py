"""One written form for one text.

`normalise` is the form in which sentences are stored, trained on and compared for repetitions: NFC, control and format
characters out, every run of white space one space, stripped. With evaluation sentences they are compared in the form of
`mlsg.text.matching`.

What stays of the format characters: those that are visible (the Arabic number signs and their kin) and those that
shape words, which are the Mongolian vowel separator, the zero-width joiner and non-joiner after a character of a script
that joins or stacks (Arabic, the Indic scripts, Khmer, ...), and the joiner inside an emoji sequence. What is not done
here: no change of spelling, quotes, digits or width (NFKC), nothing that could touch what a sentence means.

Sources: Unicode 15.1, chapter 23.2 (cursive connection) and UAX #15 (normal forms).
"""

from __future__ import annotations

import re
import unicodedata

# Cc and Cf but for the exceptions above, and lone surrogates, which no UTF-8 file can hold. White space is not in it.
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


def normalise(text: str) -> str:
    r"""Return the stored form: `"Cafe\u0301\xa0 noir\n"` -> `"Café noir"`. Applying it twice changes nothing."""
    text = unicodedata.normalize("NFC", text)
    if text.isprintable():  # no control or format character, no surrogate, no white space but the plain one
        return " ".join(text.split())
    text = _REMOVED.sub("", text)
    while "\u200c" in text or "\u200d" in text:
        # A removal lets marks meet and be reordered, which may leave another joiner idle.
        kept = unicodedata.normalize("NFC", _IDLE_JOINERS.sub("", text))
        if kept == text:
            break
        text = kept
    return " ".join(unicodedata.normalize("NFC", text).split())


def normalise_lines(text: str) -> list[str]:
    """Return the stored form of each line (they end at LF): as `normalise` for each, several times as fast.

    NFC never reaches over a line break, so all lines are composed at once; most need nothing more.
    """
    return [
        line.strip(" ") if line.isprintable() and "  " not in line else normalise(line)
        for line in unicodedata.normalize("NFC", text).split("\n")
    ]
