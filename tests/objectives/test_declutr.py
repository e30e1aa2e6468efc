"""DeCLUTR: its spans by their definition, its loss against loops, masked words against torch's cross-entropy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from mlsg.config.recipes import EncoderSettings
from mlsg.errors import SettingError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.fast.packing import pack
from mlsg.objectives.declutr import Settings
from mlsg.objectives.masked_words import WordPredictor
from mlsg.objectives.spans import SpanSampler
from mlsg.train.text import TokenisedText
from tests.objectives.test_nt_xent import written_base
from tests.tiny_models import tiny_bert
from tests.train.small import batch, build, loss_of, tokenised

MEAN = EncoderSettings(pooling="mean")
ROWS = [3, 0, 11]
SPANS = {"name": "declutr", "min_span": 5, "max_span": 24}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(str(tiny_bert(tmp_path_factory.mktemp("bert")))).eval()


@pytest.fixture(scope="module")
def text(base: Backbone) -> TokenisedText:
    return tokenised(base, kind="documents")


def sampler(base: Backbone, text: TokenisedText, **changed: int) -> SpanSampler:
    return SpanSampler(
        Settings(**{"min_span": 5, "max_span": 24, **changed}), text, base.tokenize([""]).ids(0), None, 9
    )


@given(seed=st.integers(0, 2**62 - 1), size=st.integers(96, 400))
@settings(max_examples=60, deadline=None)
def test_spans_lie_within_the_document_and_positives_touch_their_anchor(
    base: Backbone, text: TokenisedText, seed: int, size: int
) -> None:
    spans, stream = sampler(base, text), np.random.PCG64(seed)
    anchors = spans._anchors(size, stream)
    assert all(0 <= start < end <= size and 3 <= end - start <= 22 for start, end in anchors)
    assert abs(anchors[0][0] - anchors[1][0]) >= 2 * 24  # a slot between them
    for start, end in anchors:
        for first, last in spans._positives(size, start, end, stream):
            assert 0 <= first < last <= size
            assert first <= end
            assert last >= start


@pytest.mark.parametrize("shape", [(4, 2), (2, 4)])
def test_lengths_follow_the_beta_distributions(base: Backbone, text: TokenisedText, shape: tuple[int, int]) -> None:
    spans, stream = sampler(base, text, min_span=3, max_span=65000), np.random.PCG64(1)
    lengths = [(spans._length(shape, stream) + 2 - 3) / (65000 - 3) for _ in range(3000)]
    assert kstest(lengths, beta(*shape).cdf).pvalue > 0.001


def test_the_same_row_has_the_same_spans_whatever_is_beside_it(base: Backbone, text: TokenisedText) -> None:
    objective = build(base, text, MEAN, **SPANS)
    alone = batch(text, [11], objective=objective).mini_batches[0]
    beside = batch(text, [3, 11], objective=objective).mini_batches[0]
    spans = [
        [packed.ids.flatten()[packed.owners.flatten() == n].tolist() for n in range(len(packed))]
        for packed in (alone, beside)
    ]
    assert spans[0] == spans[1][6:]


def test_the_loss_is_nt_xent_over_anchors_and_mean_positives(base: Backbone, text: TokenisedText) -> None:
    objective = build(base, text, MEAN, **SPANS, temperature=0.3, mask_weight=0)
    whole = batch(text, ROWS, objective=objective)
    found = loss_of(objective, base, whole)
    vectors = objective.anchors(base, whole.mini_batches[0])[:, :-2].unflatten(0, (6, 3))
    expected = written_base(vectors[:, 0], vectors[:, 1:].mean(1), torch.zeros(6, 6, dtype=torch.bool))
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_masked_words_are_predicted_by_the_embeddings_of_all_words(base: Backbone, text: TokenisedText) -> None:
    objective = build(base, text, MEAN, **SPANS, temperature=0.3)
    whole = batch(text, ROWS, objective=objective)
    packed = whole.mini_batches[0]
    assert packed.targets is not None
    read, wanted = packed.ids.flatten(), packed.targets.flatten()
    masked = wanted >= 0
    assert 0.05 < masked.sum() / (packed.owners.flatten() % 3 == 0).sum() < 0.3
    assert set(packed.owners.flatten()[masked].tolist()) <= {0, 3, 6, 9, 12, 15}  # of anchors alone
    assert (read[masked] == base.tokenizer.mask_token_id).float().mean() > 0.5
    states = base.last_state_of(packed).flatten(0, 1)[masked]
    logits = states @ base.model.get_input_embeddings().weight.T
    expected = F.cross_entropy(logits, wanted[masked])
    without = build(base, text, MEAN, **SPANS, temperature=0.3)
    without.words = None  # type: ignore[attr-defined]
    contrastive = without.loss(objective.anchors(base, packed), whole)
    assert loss_of(objective, base, whole).item() == pytest.approx((contrastive + expected).item(), rel=1e-4)


def test_the_gradient_of_masked_words_reaches_the_bias(base: Backbone, text: TokenisedText) -> None:
    tokens = sampler(base, text)([0], lambda purpose, bound: [5])
    plain = pack(tokens.tokens, tokens.places)
    assert plain.targets is None
    objective = build(base, text, MEAN, **SPANS)
    whole = batch(text, ROWS, objective=objective)
    loss_of(objective, base, whole).backward()
    words = objective.parts["words"]
    assert isinstance(words, WordPredictor)
    assert words.bias.grad is not None
    assert math.isclose(float(words.bias.grad.sum()), 0.0, abs_tol=1e-5)  # softmax minus one
    assert words.bias.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"min_span": 40, "max_span": 30}, "smaller"), ({"max_span": 4096}, "reads")],
)
def test_spans_that_cannot_be_are_refused(
    base: Backbone, text: TokenisedText, changed: dict[str, int], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        build(base, text, MEAN, name="declutr", **changed)
