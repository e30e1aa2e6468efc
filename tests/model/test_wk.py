"""SBERT-WK against its definition, written out by QR for one token after the other; SIF against a loop."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from mlsg.errors import ModelError, SettingError
from mlsg.model.encoder import Encoder
from mlsg.model.fast.packing import pack, pool_packed
from mlsg.model.tokens import Tokens
from tests.tiny_models import SENTENCES, tiny_bert

LENGTHS = (6, 1, 2, 4)
STARTS = np.concatenate([[0], np.cumsum(LENGTHS)])
TOKENS = Tokens(np.zeros(STARTS[-1], dtype=np.int32), STARTS, np.zeros(4, dtype=bool), 0)


def written_token(layers: Tensor) -> Tensor:
    """The vector of one token from its layers (K, d)."""
    count = len(layers)
    alignment, novelty = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
    for k in range(count):
        below = layers[k - 2 : k] if k >= 2 else layers[:0]
        window = torch.cat([below, layers[k + 1 : k + 3], layers[k : k + 1]])
        _, r = torch.linalg.qr(window.T)
        span, last = r[:-1, :-1], r[:, -1]
        mean = (span / span.norm(dim=0)).mean(1)
        alignment[k] = 1 / (float(mean @ last[:-1] / last[:-1].norm()) * len(window) * 2)
        novelty[k] = last[-1].abs() / last.norm()
    alpha = alignment / alignment.sum() + novelty / novelty.sum()
    return (alpha / alpha.sum()) @ layers


def written(states: list[Tensor], start: int, length: int) -> Tensor:
    """The vector of one sentence from all its hidden states, each (t, d)."""
    layers = torch.stack(states[start:])  # (K, t, d)
    kept = max(1, length - 1)
    variances = []
    for token in range(kept):
        own = layers[:, token]
        cosines = [float(torch.cosine_similarity(a, b, dim=0)) for a, b in itertools.pairwise(own)]
        mean = math.fsum(cosines) / len(cosines)
        variances.append(math.fsum((each - mean) ** 2 for each in cosines) / (len(cosines) - 1))
    tokens = torch.stack([written_token(layers[:, token]) for token in range(kept)])
    shares = torch.tensor(variances, dtype=torch.float64)
    return (shares / shares.sum()) @ tokens


@pytest.mark.parametrize(("count", "start"), [(13, 4), (11, 4), (7, 4), (5, 2), (4, 1), (3, 0)])
@pytest.mark.parametrize("together", [True, False])
def test_wk_is_its_definition_by_qr(count: int, start: int, together: bool) -> None:
    generator = torch.Generator().manual_seed(count)
    common = torch.randn(max(LENGTHS), 8, generator=generator, dtype=torch.float64)
    states = []
    packed = pack(TOKENS, range(4), together=together)
    for _ in range(count):
        common = common + 0.4 * torch.randn(max(LENGTHS), 8, generator=generator, dtype=torch.float64)
        own = [torch.randn(n, 8, generator=generator, dtype=torch.float64) + common[:n] for n in LENGTHS]
        laid = torch.full((packed.ids.numel(), 8), 9.0, dtype=torch.float64)
        laid[packed.places] = torch.cat(own)
        states.append((own, laid.view(*packed.ids.shape, 8)))
    found = pool_packed([laid for _, laid in states], packed, "wk")
    for sentence, length in enumerate(LENGTHS):
        expected = written([own[sentence] for own, _ in states], start, length)
        assert torch.allclose(found[sentence], expected, atol=1e-8), sentence


def test_layers_that_are_alike_give_the_plain_mean() -> None:
    packed = pack(TOKENS, range(4), together=False)
    state = torch.randn(4, 6, 8, dtype=torch.float64)
    found = pool_packed([state] * 13, packed, "wk")
    assert torch.allclose(found[0], state[0, :5].mean(0), atol=1e-6)
    assert torch.isfinite(found).all()


def test_a_saved_wk_encoder_is_read_back_and_refused_by_sentence_transformers(tmp_path: Path) -> None:
    base = tiny_bert(tmp_path / "bert")
    encoder = Encoder.load(base, pooling="wk", device="cpu")
    encoder.save(tmp_path / "saved", {})
    loaded = Encoder.load(tmp_path / "saved", device="cpu")
    assert loaded.pooling == "wk"
    assert np.array_equal(loaded.encode(SENTENCES), encoder.encode(SENTENCES))
    with pytest.raises(Exception, match="WK"):
        SentenceTransformer(str(tmp_path / "saved"), device="cpu")


def test_sif_is_a_weighted_mean_and_the_same_in_sentence_transformers(tmp_path: Path) -> None:
    base = tiny_bert(tmp_path / "bert")
    plain = Encoder.load(base, pooling="mean", device="cpu").backbone
    weights = torch.linspace(0.01, 1.0, plain.model.config.vocab_size)
    encoder = Encoder(plain, "sif", word_weights=weights)
    found = encoder.encode(SENTENCES)
    tokens = plain.tokenize(SENTENCES)
    for row in range(len(SENTENCES)):
        ids, mask = tokens.batch([row])
        with torch.no_grad():
            states = plain.last_state(ids, mask)[0]
        own = weights[ids[0]]
        np.testing.assert_allclose(found[row], (own[:, None] * states).sum(0) / own.sum(), atol=1e-5)
    encoder.save(tmp_path / "saved", {})
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(SENTENCES)
    np.testing.assert_allclose(theirs, found, atol=1e-5)
    loaded = Encoder.load(tmp_path / "saved", device="cpu")
    assert loaded.pooling == "sif"
    np.testing.assert_allclose(loaded.encode(SENTENCES), found, atol=1e-6)


def test_sif_without_weights_and_with_broken_ones_is_refused(tmp_path: Path) -> None:
    base = tiny_bert(tmp_path / "bert")
    with pytest.raises(SettingError, match="mlsg run sif"):
        Encoder.load(base, pooling="sif", device="cpu").encode(SENTENCES)
    plain = Encoder.load(base, pooling="mean", device="cpu").backbone
    Encoder(plain, "sif", word_weights=torch.ones(plain.model.config.vocab_size)).save(tmp_path / "saved", {})
    config = tmp_path / "saved" / "1_WordWeights" / "config.json"
    for wrong in (
        '{"vocab": ["a"], "word_weights": {}}',
        '{"vocab": 3}',
        '{"vocab": ["a"], "word_weights": {"a": "b"}}',
    ):
        config.write_text(wrong)
        with pytest.raises(ModelError):
            Encoder.load(tmp_path / "saved", device="cpu")
