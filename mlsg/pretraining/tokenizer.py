"""A cased WordPiece tokenizer as BERT's: NFC, accents kept, characters written without spaces split as BERT does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from mlsg.train.schedule import seed_of

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)

_LONGEST_WORD = 400
"""Characters: Thai writes whole sentences without a space, and BERT's own limit of 100 would make them unknown."""


def train_tokenizer(lines: Mapping[str, Sequence[str]], *, size: int, share: float, seed: int) -> Tokenizer:
    """A tokenizer of `size` pieces from lines per language, sampled so that small languages get pieces too.

    A language's part of the sample is its characters to the power `share`; the largest language gives all it has.
    """
    tokenizer = _untrained({})
    alphabet, inner = _characters(tokenizer, lines, size // 3)
    # The trainer numbers single characters by the order of a hash table, which is another in every process, and breaks
    # ties by these numbers. Named beforehand they have the same numbers always, and so has everything made of them.
    named = [*SPECIAL, *alphabet, *(f"##{character}" for character in inner)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=named,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sample(lines, share, seed), trainer)
    return _untrained(tokenizer.get_vocab())  # anew: the one that was trained takes the named ones for special tokens


def _untrained(vocabulary: dict[str, int]) -> Tokenizer:
    model = models.WordPiece(vocab=vocabulary, unk_token="[UNK]", max_input_chars_per_word=_LONGEST_WORD)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.BertNormalizer(
                clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
            ),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    if vocabulary:
        tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def _characters(tokenizer: Tokenizer, lines: Mapping[str, Sequence[str]], most: int) -> tuple[list[str], list[str]]:
    """The `most` frequent characters, and those of them that occur inside words; both sorted."""
    words: Counter[str] = Counter()
    for each in lines.values():
        for line in each:
            words.update(line.split())
    counts: Counter[str] = Counter()
    inner: set[str] = set()
    for word, count in words.items():
        for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(word)):
            for character in piece:
                counts[character] += count
            inner.update(piece[1:])
    alphabet = sorted(sorted(counts, key=lambda character: (-counts[character], character))[:most])
    return alphabet, sorted(inner.intersection(alphabet))


def wrapped(tokenizer: Tokenizer, positions: int) -> PreTrainedTokenizerFast:
    """As transformers loads and saves it."""
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=positions, **names)


def token_ids(tokenizer: Tokenizer, lines: Sequence[str], piece: int = 4096) -> Iterator[list[int]]:
    """Ids of every line, without [CLS] and [SEP]."""
    for start in range(0, len(lines), piece):
        for encoding in tokenizer.encode_batch_fast(list(lines[start : start + piece]), add_special_tokens=False):
            yield encoding.ids


def continues(tokenizer: Tokenizer) -> np.ndarray:
    """(vocabulary,) bool: whether a piece goes on with the word before it."""
    return np.array(
        [(tokenizer.id_to_token(number) or "").startswith("##") for number in range(tokenizer.get_vocab_size())]
    )


def _sample(lines: Mapping[str, Sequence[str]], share: float, seed: int) -> Iterable[str]:
    sizes = {lang: sum(map(len, each)) for lang, each in lines.items()}
    largest = max(sizes.values())
    for number, (lang, each) in enumerate(sorted(lines.items())):
        wanted = largest * (sizes[lang] / largest) ** share  # small languages are repeated, so that they count more
        order = np.random.Generator(np.random.PCG64(seed_of(seed, "tokenizer", number))).permutation(len(each))
        taken = 0
        while taken < wanted:
            for row in order:
                yield each[row]
                taken += len(each[row])
                if taken >= wanted:
                    break
