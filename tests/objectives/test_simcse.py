"""SimCSE against double loops in float64 and sentence-transformers' loss; what of the base it reads, and how often."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.losses import MultipleNegativesRankingLoss
from torch import Tensor

from mlsg.config.recipes import EncoderSettings
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.objectives.in_batch_loss import in_batch
from tests.objectives.test_nt_xent import phi
from tests.tiny_models import tiny_bert
from tests.train.small import batch, build, loss_of, tokenised

CLS = EncoderSettings(pooling="cls")
ROWS = [3, 0, 11, 30, 7]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"), dropout=0.2)


@pytest.fixture
def base(folder: Path) -> Backbone:
    return load_backbone(str(folder))


def written(
    anchors: Tensor, positives: Tensor, negatives: Tensor | None, tau: float, weight: float, same: Tensor
) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for i, anchor in enumerate(anchors):
        terms = [
            torch.cosine_similarity(anchor, other, dim=0) / tau
            for j, other in enumerate(positives)
            if j == i or not same[i, j]
        ]
        own = torch.cosine_similarity(anchor, positives[i], dim=0) / tau
        for j, other in enumerate(negatives if negatives is not None else ()):
            terms.append(torch.cosine_similarity(anchor, other, dim=0) / tau + (weight if i == j else 0.0))
        total = total - (own - torch.log(sum(torch.exp(term) for term in terms)))  # type: ignore[arg-type]
    return total / len(anchors)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_loss_and_gradient_are_those_of_a_double_loop(count: int, hard: bool, masked: bool) -> None:
    generator = torch.Generator().manual_seed(count)
    drawn = [torch.randn(count, 6, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    same = torch.zeros(count, count, dtype=torch.bool)
    if masked and count > 2:
        same[0, 2] = same[2, 0] = True
    anchors, positives, negatives = drawn if hard else (*drawn[:2], None)
    inputs = [each for each in (anchors, positives, negatives) if each is not None]
    found = in_batch(anchors, positives, 0.3, negatives, 0.7, same if masked else None)  # type: ignore[arg-type]
    expected = written(anchors, positives, negatives, 0.3, 0.7, same)  # type: ignore[arg-type]
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)
    for one, two in zip(torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), strict=True):
        assert torch.allclose(one, two, atol=1e-12)


@pytest.mark.parametrize("hard", [False, True])
def test_the_loss_is_that_of_sentence_transformers(hard: bool, folder: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    vectors = [torch.randn(8, 16, generator=generator) for _ in range(2 + hard)]
    theirs = MultipleNegativesRankingLoss(SentenceTransformer(str(folder), device="cpu"), scale=20.0)
    expected = theirs.compute_loss_from_embeddings(vectors, None)
    found = in_batch(vectors[0], vectors[1], 0.05, vectors[2] if hard else None)
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_step_is_two_passes_with_masks_of_their_own_through_the_head(base: Backbone) -> None:
    text = tokenised(base)
    objective = build(base, text, CLS, name="simcse")
    whole = batch(text, ROWS, objective=objective)
    assert [len(packed) for packed in whole.mini_batches] == [2 * len(ROWS)]
    base.train()
    torch.manual_seed(1)
    anchors = objective.anchors(base, whole.mini_batches[0])
    passes = anchors.unflatten(0, (-1, 2))
    assert not torch.allclose(passes[:, 0], passes[:, 1], atol=1e-3)
    through = objective.parts["head"](passes)
    expected = 0.0
    for i in range(len(ROWS)):
        others = sum(phi(through[i, 0], through[j, 1], 0.05) for j in range(len(ROWS)))
        expected -= math.log(phi(through[i, 0], through[i, 1], 0.05) / others) / len(ROWS)
    assert objective.loss(anchors, whole).item() == pytest.approx(expected, rel=1e-4)


def test_without_dropout_both_readings_are_the_same(base: Backbone) -> None:
    text = tokenised(base)
    objective = build(base, text, CLS, name="simcse", dropout=False)
    passes = objective.anchors(base.train(), batch(text, ROWS, objective=objective).mini_batches[0]).unflatten(
        0, (-1, 2)
    )
    assert torch.allclose(passes[:, 0], passes[:, 1], atol=1e-6)


def test_triplets_are_read_as_anchor_positive_and_hard_negative(base: Backbone) -> None:
    text = tokenised(base, kind="triplets")
    objective = build(base, text, CLS, name="simcse", head=False)
    base.eval()
    with torch.no_grad():
        columns = [base.hidden_states(*text.tokens.batch([3 * row + k for row in ROWS]))[-1][:, 0] for k in range(3)]
    objective.settings = type(objective.settings)(head=False, dropout=False)  # type: ignore[attr-defined]
    found = loss_of(objective, base, batch(text, ROWS, objective=objective))
    expected = in_batch(columns[0], columns[1], 0.05, columns[2])
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
