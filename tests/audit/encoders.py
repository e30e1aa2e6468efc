"""Five architectures, each with every pooling: saved by mlsg, run by sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoTokenizer,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
)

from mlsg.model.encoder import Encoder
from mlsg.model.pooling import POOLINGS
from mlsg.model.pretrained import quiet_transformers
from tests.audit.finding import Finding
from tests.model.texts import TEXTS
from tests.tiny_models import tiny_bert, tiny_xlmr

_SIZE: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}


def findings() -> Iterator[Finding]:
    """The largest difference of a number of a vector, for each architecture and pooling."""
    from sentence_transformers import SentenceTransformer

    for name, make in _ARCHITECTURES.items():
        with TemporaryDirectory() as temporary:
            base = make(Path(temporary) / name)
            for pooling in POOLINGS:
                saved = Path(temporary) / pooling
                Encoder.load(base, pooling=pooling, device="cpu").save(saved, {})
                expected = SentenceTransformer(str(saved), device="cpu").encode(TEXTS, batch_size=7)
                found = Encoder.load(saved, device="cpu").encode(TEXTS)
                yield Finding(f"{name}, {pooling}", float(np.abs(found - expected).max()), 1e-5)


def _distilbert(folder: Path) -> Path:
    size: dict[str, Any] = {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 64}
    return _with_tokenizer_of_bert(folder, lambda words: DistilBertModel(DistilBertConfig(vocab_size=words, **size)))


def _electra(folder: Path) -> Path:
    size = {**_SIZE, "embedding_size": 24, "max_position_embeddings": 64}
    return _with_tokenizer_of_bert(folder, lambda words: ElectraModel(ElectraConfig(vocab_size=words, **size)))


def _mpnet(folder: Path) -> Path:
    tiny_xlmr(folder, layers=3)
    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    config = MPNetConfig(vocab_size=vocabulary, max_position_embeddings=66, **_SIZE)
    torch.manual_seed(0)
    with quiet_transformers():
        MPNetModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def _with_tokenizer_of_bert(folder: Path, make: Callable[[int], PreTrainedModel]) -> Path:
    tiny_bert(folder, layers=3)
    torch.manual_seed(0)
    with quiet_transformers():
        make(len(AutoTokenizer.from_pretrained(folder))).save_pretrained(folder)
    return folder


_ARCHITECTURES: dict[str, Callable[[Path], Path]] = {
    "bert": lambda folder: tiny_bert(folder, layers=3),
    "xlm-roberta": lambda folder: tiny_xlmr(folder, layers=3),
    "distilbert": _distilbert,
    "electra": _electra,
    "mpnet": _mpnet,
}
