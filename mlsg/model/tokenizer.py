"""The tokenizer that a model was trained with: read from its folder, compared with its own file, tried, and written.

transformers builds tokenizers of many kinds (BERT, XLM-R, ...) anew from the vocabulary, with its own idea of what
comes before it: case, accents, white space. Where the ids are then others than those of `tokenizer.json`, the file is
what runs.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from mlsg import console
from mlsg.cache.files import read_json
from mlsg.errors import ModelError
from mlsg.model.folder import write_json
from mlsg.model.folder_keys import read_table
from mlsg.model.guard import missing_package, no_panic_messages, one_line
from mlsg.model.pretrained import OF_THIS_MACHINE, quiet_transformers
from mlsg.model.weights import AGAIN

_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "bpe.codes")
_FILE = "tokenizer.json"
_KEPT = ("model_max_length", "truncation_side", "model_input_names")
_ANOTHER = "use the tokenizer that the model was trained with"
_SPELLED, _TRIED, _FEW = 2000, 64, 8  # pieces of a vocabulary that are looked at, tried, too few to judge by
PROBES = (
    "The quick brown FOX, don't jump; McDonald's 1,234.56 €!",
    "Über naïve café ÉCOLE Ångström",
    "U\u0308ber cafe\u0301 n\u0303 \u1e9b\u0323 A\u030a",
    "İstanbul IĞDIR ılık DİYARBAKIR",
    "ΣΊΣΥΦΟΣ Ωμέγα Привет ЁЖ Ёлка",
    "\u6f22\u5b57\u304b\u306a\u4ea4\u3058\u308a\u6587 \u732b \uff76\uff85 \uff26\uff55\uff4c\uff4c",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab",
    "مَرْحَبًا كِتَابٌ \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \ufefb",
    "हिन्दी क्\u200dष ไทย",
    "\ufb01ne \ufb02ow \u0132sselmeer \u00bd x\u00b2 \u2126 \u2122",
    "🙂 👩\u200d👩\u200d👧 🇹🇷 ❤\ufe0f",
    " two  spaces\tand a tab\n new line\u00a0no-break ",
    "a\u200bb \ufeffc \u00ad",
    "snake_case #tag @name http://x.org/?q=1 ##ing ▁x Ġy",
)
"""Texts in which normalisers differ: case, accents, combining marks, dotted i, CJK, ligatures, joiners, white space."""


def read_tokenizer(folder: Path, config: PreTrainedConfig, *, lower_case: bool) -> PreTrainedTokenizerBase:
    """The tokenizer, set to lower-case if the folder asks sentence-transformers to.

    Raises ModelError if it is missing, fails on a text, or is another model's.
    """
    names = sorted(path.name for path in folder.iterdir())
    pieces = [name for name in names if name.endswith((".model", ".spm"))]
    if not pieces and not any(name in _FILES for name in names):
        raise ModelError(f"{folder} has no tokenizer (tokenizer.json, vocab.txt or a SentencePiece model)", AGAIN)
    with one_line(f"the tokenizer in {folder} cannot be read", AGAIN), no_panic_messages(), quiet_transformers():
        if not any(name in _FILES for name in names):  # transformers would say that tiktoken is missing
            import sentencepiece

            for name in pieces:
                sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
        made = _made(folder)
    if lower_case and made is not None and not made.is_fast:
        problem = f"{folder} asks for lower case of a tokenizer that is written in Python"
        raise ModelError(problem, "save the model with a tokenizer.json")
    with one_line(f"the tokenizer in {folder} fails", _ANOTHER), no_panic_messages(), quiet_transformers():
        if lower_case and made is not None:
            _set_lower_case(made.backend_tokenizer)
        compared = made is None or (made.is_fast and (folder / _FILE).is_file())  # one in Python was trained with
        tokenizer = _as_in_file(made, folder, config, lower_case=lower_case) if made is None or compared else made
        unused = _check(tokenizer, folder, config)
    if tokenizer is not made:
        theirs = "cannot read" if made is None else f"reads otherwise, as a {type(made).__name__}"
        console.note(f"{folder.name}: tokenised as its {_FILE} says, which transformers {theirs}")
    if unused:
        console.note(
            f"{folder.name}: lower-cased, but {unused:.0%} of its vocabulary's words have capitals, and never occur"
        )
    return tokenizer


def write_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path, max_length: int) -> None:
    """The tokenizer's files, without what its last call left there and without names of this machine."""
    if tokenizer.is_fast:
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    with quiet_transformers():
        tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = {key: value for key, value in read_json(path).items() if key not in OF_THIS_MACHINE}
    write_json(path, dict(sorted({**settings, "model_max_length": max_length}.items())))


def _made(folder: Path) -> PreTrainedTokenizerBase | None:
    """What transformers makes of the folder; None where it fails and there is a tokenizer.json."""
    try:
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # a class that expects another kind of vocabulary; what it needs may also be missing
        if missing_package(error) or not (folder / _FILE).is_file():
            raise
        return None
    return found


def _as_in_file(
    made: PreTrainedTokenizerBase | None, folder: Path, config: PreTrainedConfig, *, lower_case: bool
) -> PreTrainedTokenizerBase:
    """The tokenizer that transformers has made, or one of tokenizer.json where that gives other ids."""
    own = Tokenizer.from_file(str(folder / _FILE))
    own.no_truncation()
    own.no_padding()
    if lower_case:
        _set_lower_case(own)
    expected = [encoding.ids for encoding in own.encode_batch(list(PROBES))]
    if made is not None and len(made) <= config.vocab_size:
        with contextlib.suppress(Exception):  # WordPiece fails on a vocabulary without its unknown token
            if _ids(made) == expected:
                return made
    path = folder / "tokenizer_config.json"
    settings = {name: value for name, value in (read_table(path) if path.is_file() else {}).items() if name in _KEPT}
    settings |= {} if made is None else {name: getattr(made, name) for name in _KEPT}
    names: dict[str, str | None] = {} if made is None else {n: str(t) for n, t in made.special_tokens_map.items()}
    names |= {"pad_token": own.id_to_token(config.pad_token_id)} if isinstance(config.pad_token_id, int) else {}
    names |= {"unk_token": own.model.unk_token} if hasattr(own.model, "unk_token") else {}
    known = {name: token for name, token in names.items() if token and own.token_to_id(token) is not None}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=own, **settings, **known)
    if _ids(tokenizer) != expected:
        raise ModelError(f"transformers does not follow {folder / _FILE}", _ANOTHER)
    return tokenizer


def _check(tokenizer: PreTrainedTokenizerBase, folder: Path, config: PreTrainedConfig) -> float:
    """The share of words with capitals that never occur. Raises ModelError for a tokenizer of another model."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    used = tokenizer(list(PROBES), return_token_type_ids=True, verbose=False)
    rows = config.vocab_size
    highest = max([*vocabulary.values(), *(number for ids in used["input_ids"] for number in ids)], default=0)
    if highest >= rows:
        problem = (
            f"the tokenizer in {folder} has {len(tokenizer)} tokens, its model {rows}, and its last id is {highest}"
        )
        raise ModelError(problem, _ANOTHER)
    segments = {number for ids in used["token_type_ids"] for number in ids}
    if segments - {0} and "token_type_ids" in tokenizer.model_input_names:
        raise ModelError(f"the tokenizer in {folder} has token types other than 0", "use another encoder")
    if not tokenizer("")["input_ids"]:
        raise ModelError(f"the tokenizer in {folder} puts no special token around a text", _ANOTHER)
    words = {word: vocabulary[word] for word in sorted(set(vocabulary) - set(tokenizer.all_special_tokens))}
    if not words:
        problem = f"the tokenizer in {folder} has no vocabulary: {len(vocabulary)} special tokens and no other"
        raise ModelError(problem, f"{AGAIN}, with the files of its own tokenizer")
    return _check_words(tokenizer.backend_tokenizer, words, folder) if tokenizer.is_fast else 0.0


def _check_words(backend: Tokenizer, words: dict[str, int], folder: Path) -> float:
    """Raise ModelError where words of the vocabulary never come out; the share with capitals, where those alone do not.

    So it is with a BPE vocabulary read as WordPiece, and with merges that are missing: texts fall into characters.
    """
    foreign = sum(word.startswith(("Ġ", "▁")) for word in words)
    if isinstance(backend.model, models.WordPiece) and 10 * foreign > len(words):
        raise ModelError(f"the vocabulary in {folder} is one of BPE or SentencePiece, not of WordPiece", _ANOTHER)
    ids = list(words.values())[:: max(1, len(words) // _SPELLED)]
    spelled = [(number, backend.decode([number], skip_special_tokens=False).strip()) for number in ids]
    texts = [(number, text) for number, text in spelled if text.isalpha() and len(text) > 2]  # `##ing` is no word
    cased = [(number, text) for number, text in texts if text != text.lower()]
    if _never(backend, [each for each in texts if each not in cased]):
        raise ModelError(f"the tokenizer in {folder} never gives the words of its own vocabulary", _ANOTHER)
    return len(cased) / len(texts) if 20 * len(cased) > len(texts) and _never(backend, cased) else 0.0


def _never(backend: Tokenizer, words: list[tuple[int, str]]) -> bool:
    """Whether of enough words, with their ids, none comes out when it goes in."""
    sample = words[:: max(1, len(words) // _TRIED)]
    alone, inside = (
        [found.ids for found in backend.encode_batch([before + text for _, text in sample])] for before in ("", "a ")
    )
    return len(sample) >= _FEW and not any(
        number in one + two for (number, _), one, two in zip(sample, alone, inside, strict=True)
    )


def _ids(tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    found: list[list[int]] = tokenizer(list(PROBES), verbose=False)["input_ids"]
    return found


def _set_lower_case(backend: Tokenizer) -> None:
    found = backend.normalizer
    steps: list[normalizers.Normalizer] = [] if found is None else [found]
    if isinstance(found, normalizers.Sequence):
        steps = list(found)  # type: ignore[call-overload]
    if not any(isinstance(step, normalizers.Lowercase) for step in steps):
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])
