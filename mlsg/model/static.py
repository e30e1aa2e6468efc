"""Static bases: one vector a word, whatever stands around it, as a transformers folder of zero layers.

    write_static(read_vectors(Path("glove.txt")), Path("folder"))      # word vectors of GloVe's or fastText's text form
    write_static(embeddings_of(load_backbone("bert-base-multilingual-cased")), Path("folder"))

The folder is a base as any other: `mlsg run mean --set train.model=folder`, `mlsg run sif ...`. It is an OPT model
without layers, positions (they are 0) and normalisation, so that `AutoModel` opens it and its output are the vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import OPTConfig, OPTModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from mlsg.errors import DataError, SettingError
from mlsg.model.pretrained import write_model
from mlsg.model.tokenizer import write_tokenizer

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone

MOST_WORDS = 500_000
_LONGEST = 2048  # tokens of a sentence
_UNKNOWN, _PADDING, _FIRST, _LAST = _SPECIAL = ("[UNK]", "[PAD]", "[CLS]", "[SEP]")


@dataclass(frozen=True)
class Static:
    """A vector (vocabulary, d) for each token of a tokenizer."""

    vectors: NDArray[np.float32]
    tokenizer: PreTrainedTokenizerBase


def read_vectors(lines: Iterator[str], name: str, most: int = MOST_WORDS) -> Static:
    """The first `most` word vectors of a text: "word 0.1 0.2 ...", after a head "words dimensions" or without one.

    Words are told apart at spaces and punctuation; they are lower-cased where no word of the file has a capital. An
    unknown word has the vector 0. Raises DataError, naming the line, for one that has another number of numbers.
    """
    words: dict[str, int] = {}
    rows: list[NDArray[np.float32]] = []
    width = 0
    for number, line in enumerate(lines, start=1):
        word, *numbers = line.rstrip().split(" ")
        if number == 1 and len(numbers) == 1 and word.isdigit() and numbers[0].isdigit():
            continue
        width = width or len(numbers)
        if len(numbers) != width or not width:
            problem = f"{name}, line {number}: {len(numbers)} numbers where the lines above have {width}"
            raise DataError(problem, "give one word a line, then its numbers, with single spaces between them")
        if word in words or not word:
            continue
        try:
            row = np.array(numbers, dtype=np.float32)
        except ValueError:
            row = np.full(width, np.nan, dtype=np.float32)
        if not np.isfinite(row).all():
            raise DataError(f"{name}, line {number}: what is no finite number", "fix the line, or leave it out")
        words[word] = len(words)
        rows.append(row)
        if len(words) >= most:
            break
    if not words:
        raise DataError(f"{name} holds no word vectors", "give a file in the text form of GloVe or fastText")
    nothing = np.zeros((len(_SPECIAL), width), dtype=np.float32)  # in a mean they change the length alone
    special = {name: len(words) + number for number, name in enumerate(_SPECIAL)}
    tokenizer = Tokenizer(models.WordLevel({**words, **special}, unk_token=_UNKNOWN))
    lower = all(word == word.lower() for word in words)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *([normalizers.Lowercase()] if lower else [])])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    around = [(name, special[name]) for name in (_FIRST, _LAST)]
    tokenizer.post_processor = processors.TemplateProcessing(f"{_FIRST} $A {_LAST}", special_tokens=around)
    names = {"unk_token": _UNKNOWN, "pad_token": _PADDING, "cls_token": _FIRST, "sep_token": _LAST}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=_LONGEST, **names)
    return Static(np.concatenate([np.stack(rows), nothing]), fast)


def embeddings_of(base: Backbone) -> Static:
    """The input embeddings of a base, without positions, and its tokenizer. Raises SettingError for one without any."""
    weight = getattr(base.model.get_input_embeddings(), "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2:
        raise SettingError(f"{base.name} has no table of input embeddings", "name another base")
    return Static(weight.detach().float().cpu().numpy(), base.tokenizer)


def write_static(static: Static, folder: Path) -> None:
    """Write the base. Raises SettingError for a folder that is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingError(f"{folder} exists and is not an empty folder", "name a new one")
    size, width = static.vectors.shape
    padding = static.tokenizer.pad_token_id
    config = OPTConfig(
        vocab_size=size,
        hidden_size=width,
        word_embed_proj_dim=width,
        num_hidden_layers=0,
        num_attention_heads=1,
        ffn_dim=1,
        max_position_embeddings=_LONGEST,
        do_layer_norm_before=False,
        dropout=0.0,
        pad_token_id=padding,
        bos_token_id=padding,
        eos_token_id=padding,
    )
    model = OPTModel(config).eval()
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.from_numpy(static.vectors))
        for name, parameter in model.named_parameters():
            if "positions" in name:
                parameter.zero_()
    folder.mkdir(parents=True, exist_ok=True)
    write_model(model, folder, all_layers=False)
    write_tokenizer(static.tokenizer, folder, min(_LONGEST, static.tokenizer.model_max_length))
