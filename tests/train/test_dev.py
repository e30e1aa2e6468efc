"""The look at the encoder while it trains: against sentences encoded one by one, whatever the weights were before."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from mlsg.config.recipes import EncoderSettings, TrainSettings
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.train.dev import Probe, dev_probe, sample_probe
from mlsg.train.optimiser import adamw, update
from tests.tiny_models import tiny_bert
from tests.train.small import PAIRS, tokenised


@pytest.fixture
def base(tmp_path: Path) -> Backbone:
    return load_backbone(str(tiny_bert(tmp_path / "bert", dropout=0.3)))


def probe(base: Backbone) -> Probe:
    return dev_probe(tokenised(base, [pair[0] for pair in PAIRS] + [pair[1] for pair in PAIRS]), [p[2] for p in PAIRS])


@torch.no_grad()
def alone(base: Backbone) -> tuple[float, float]:
    """Dev and the mean cosine of different sentences, each sentence in a batch of its own."""
    vectors = {}
    for text in {side for pair in PAIRS for side in pair[:2]}:
        ids, mask = tokenised(base, [text]).tokens.batch([0])
        vector = base.eval().last_state(ids, mask)[0, 0].double().numpy()
        vectors[text] = vector / np.linalg.norm(vector)
    dev = spearmanr([vectors[one] @ vectors[two] for one, two, _ in PAIRS], [p[2] for p in PAIRS]).statistic
    every = np.stack(list(vectors.values()))
    cosines = (every @ every.T)[~np.eye(len(every), dtype=bool)]
    return float(dev), float(cosines.mean())


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-6), ("bf16", 0.05)])
def test_it_is_the_score_of_sentences_encoded_one_by_one(precision: str, most: float, base: Backbone) -> None:
    seen = probe(base).measure(base.for_measuring(precision), EncoderSettings(pooling="cls"), precision)
    dev, cosine = alone(base)
    assert seen.dev == pytest.approx(dev, abs=most)
    assert seen.random_cosine == pytest.approx(cosine, abs=most)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_weights_that_an_optimiser_has_moved_are_seen(precision: str, base: Backbone) -> None:
    asked, ready = probe(base), base.for_measuring(precision)
    before = asked.measure(ready, EncoderSettings(pooling="cls"), precision)
    optimiser = adamw(dict(base.named_parameters()), TrainSettings())
    for parameter in base.parameters():
        parameter.grad = torch.linspace(-1, 1, parameter.numel()).sin().view_as(parameter)
    update(optimiser, 0.05, 0.0)
    after = asked.measure(ready, EncoderSettings(pooling="cls"), precision)
    assert after != before
    assert after == asked.measure(base.for_measuring(precision), EncoderSettings(pooling="cls"), precision)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_threads_change_no_bit(pooling: str, base: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["mlsg.train.dev"], "_BATCH_TOKENS", {"cpu": 40, "cuda": 40})
    threads, seen = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            settings = EncoderSettings(pooling=pooling)  # type: ignore[arg-type]
            seen.append(probe(base).measure(base.for_measuring("float32"), settings, "float32"))
    finally:
        torch.set_num_threads(threads)
    assert seen[0] == seen[1]


def test_without_a_dev_set_only_the_cosine_is_measured(base: Backbone) -> None:
    text = tokenised(base)
    seen = sample_probe(text, 1).measure(base.for_measuring("float32"), EncoderSettings(pooling="cls"), "float32")
    assert seen.dev is None
    assert -1 < seen.random_cosine < 1
