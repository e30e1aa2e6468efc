"""Tiny encoders with random weights and real tokenizers, made in a second for tests.

`tiny_bert` has a WordPiece tokenizer, `tiny_xlmr` a SentencePiece (Unigram) one. Nothing is downloaded, the same
arguments give the same bytes, and characters that no sentence below holds (emoji, Thai) become the unknown token.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)
from transformers.utils import logging

if TYPE_CHECKING:
    from pathlib import Path

SENTENCES = (
    "The ferry leaves the island before the first light.",
    "A grey cat sleeps on the warm roof of the bakery.",
    "Nobody told the gardener that the well had run dry.",
    "Two girls are painting the old fence blue.",
    "El tren sale de la estación a las siete y media.",
    "Una mujer lee el periódico mientras llueve en la plaza.",
    "Mañana compraremos pan, queso y tres naranjas.",
    "القطة تنام على سطح البيت القديم",
    "يقرأ الولد كتابا جديدا في الحديقة",
    "Çocuklar bahçede şarkı söylüyor.",
    "Yaşlı adam ağacın altında çay içiyor.",
    "Der Bäcker öffnet früh am Morgen seine Tür.",
    "Über dem Fluss fliegen weiße Vögel.",
    "Les élèves écoutent une histoire très drôle.",
    "Le marché ouvre à l'aube, même en hiver.",
    "Старая лодка стоит у берега.",
    "Девочка рисует красный дом.",
    "猫が屋根の上で眠っている。",
    "学生们在图书馆看书。",
    "고양이가 지붕 위에서 잔다.",
)
"""Written for these tests; also handy as input."""

_WORDPIECE_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tiny_bert(
    folder: Path,
    *,
    layers: int = 2,
    width: int = 32,
    heads: int = 4,
    positions: int = 64,
    lower_case: bool = False,
    pretraining_head: bool = False,
    dropout: float = 0.1,
    seed: int = 0,
) -> Path:
    """A BERT of random weights with a cased (or `lower_case`) WordPiece tokenizer, saved in `folder`.

    `pretraining_head` saves a BertForPreTraining, as the original checkpoints are.
    """
    tokenizer = _wordpiece(lower_case, positions)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        max_position_embeddings=positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForPreTraining(config) if pretraining_head else BertModel(config, add_pooling_layer=False)
    return _saved(folder, model, tokenizer)


def tiny_xlmr(
    folder: Path, *, layers: int = 2, width: int = 32, heads: int = 4, positions: int = 66, seed: int = 0
) -> Path:
    """An XLM-R of random weights with a SentencePiece Unigram tokenizer, saved in `folder`.

    As in the real one, two positions are taken by the padding offset: 66 positions hold 64 tokens.
    """
    tokenizer = _sentencepiece(positions - 2)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        max_position_embeddings=positions,
        type_vocab_size=1,
        initializer_range=0.1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = XLMRobertaModel(config, add_pooling_layer=False)
    return _saved(folder, model, tokenizer)


def _wordpiece(lower_case: bool, positions: int) -> PreTrainedTokenizerFast:
    normalizer = normalizers.BertNormalizer(lowercase=lower_case)
    split = pre_tokenizers.BertPreTokenizer()
    counts: dict[str, int] = {}
    for sentence in SENTENCES:
        for word, _ in split.pre_tokenize_str(normalizer.normalize_str(sentence)):
            counts[word] = counts.get(word, 0) + 1
    characters = sorted({character for word in counts for character in word})
    stems = sorted({word[:3] for word in counts if len(word) > 3} | {word for word, n in counts.items() if n > 1})
    pieces = [*_WORDPIECE_SPECIALS, *characters, *(f"##{c}" for c in characters), *stems]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    names = dict(
        zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _WORDPIECE_SPECIALS, strict=True)
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=positions, **names)


def _sentencepiece(tokens: int) -> XLMRobertaTokenizer:
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=trained,
        model_type="unigram",
        vocab_size=200,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    pieces = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(processor.get_piece_size())]
    specials = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]  # the order of XLM-R, not of SentencePiece
    ordinary = [piece for piece in pieces if piece[0] not in ("<unk>", "<s>", "</s>")]
    return XLMRobertaTokenizer(vocab=[*specials, *ordinary, ("<mask>", 0.0)], model_max_length=tokens)


def _saved(folder: Path, model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast) -> Path:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)  # type: ignore[operator]
        tokenizer.save_pretrained(folder)
    finally:
        if shown:
            logging.enable_progress_bar()
    return folder
