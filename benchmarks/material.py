"""What benchmarks work on: weights of a shape, sentences, a dev set. Nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel
from transformers.utils import logging

from mlsg.config.catalog import load_catalog
from mlsg.config.resources import starter_folder
from mlsg.data.corpora import stream_corpus
from mlsg.data.pairs import GradedPairs, LocatedSet, locate_set, read_pairs
from mlsg.hub import Hub
from mlsg.text.normalise import normalise

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Shape:
    """Sizes of a BERT; `vocabulary` can be wider than the tokenizer's 32,000."""

    layers: int
    width: int
    heads: int
    inner: int
    positions: int = 512
    vocabulary: int = 32_000


SHAPES = {
    "mbert": Shape(12, 768, 12, 3072, vocabulary=119_547),
    "tiny": Shape(2, 64, 4, 128),
}


def base_folder(name: str, folder: Path) -> Path:
    """The folder of a base: "starter", or random weights of a shape of `SHAPES`, written into `folder`."""
    return starter_folder() / "model" if name == "starter" else write_bert(SHAPES[name], folder / name)


def write_bert(shape: Shape, folder: Path, seed: int = 0) -> Path:
    """A BERT of random weights with the starter's tokenizer: a real one's speed and memory, without meaning."""
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.positions,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config)
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    for file in _TOKENIZER:
        shutil.copyfile(starter_folder() / "model" / file, folder / file)
    return folder


def data_root() -> Path | None:
    """The folder of original data sets that $MLSG_DATA_ROOT names, if it holds STS-B."""
    found = Path(os.environ.get("MLSG_DATA_ROOT", ""))
    return found if (found / "STS" / "STSBenchmark").is_dir() else None


def corpus_name() -> str:
    """The corpus of the benchmarks: STS-B, as in the paper, else the starter's sentences."""
    return "stsb" if data_root() else "starter"


def dev_name() -> str:
    """The dev set of the benchmarks."""
    return "stsb.en@dev" if data_root() else "starter.en"


def sentences(count: int = 0, seed: int = 0) -> list[str]:
    """Sentences of the corpus: all of them, repetitions too, or a random sample of `count` different ones."""
    _, stream = stream_corpus(load_catalog().language("en").corpus(corpus_name()), data_root(), Hub.from_environment())
    found = [normalise(text) for text in stream]
    if not count:
        return found
    different = list(dict.fromkeys(found))
    chosen = np.random.default_rng(seed).permutation(len(different))[:count]
    return [different[place] for place in chosen]


def dev_pairs(count: int = 0, seed: int = 0) -> GradedPairs:
    """The dev set, or a random sample of `count` of its pairs."""
    hub = Hub.from_environment()
    located = locate_set(load_catalog().pair_set(dev_name()), data_root(), hub)
    assert isinstance(located, LocatedSet)
    pairs = read_pairs(located, hub)
    if not count:
        return pairs
    chosen = np.random.default_rng(seed).permutation(len(pairs.scores))[:count]
    return replace(
        pairs,
        first=[pairs.first[place] for place in chosen],
        second=[pairs.second[place] for place in chosen],
        scores=[pairs.scores[place] for place in chosen],
    )
