"""Regression on scored pairs against a loop in float64 and sentence-transformers' CosineSimilarityLoss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.losses import CosineSimilarityLoss

from mlsg.config.recipes import EncoderSettings
from mlsg.errors import DataError, SettingError
from mlsg.model.backbone import Backbone, load_backbone
from tests.tiny_models import tiny_bert
from tests.train.small import batch, build, loss_of, tokenised

MEAN = EncoderSettings(pooling="mean")
ROWS = [3, 0, 11, 30, 7]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def base(folder: Path) -> Backbone:
    return load_backbone(str(folder)).eval()


def test_loss_and_gradient_are_the_mean_squared_error(base: Backbone, folder: Path) -> None:
    text = tokenised(base, kind="scored_pairs")
    objective = build(base, text, MEAN, name="regression")
    whole = batch(text, ROWS, objective=objective)
    anchors = objective.anchors(base, whole.mini_batches[0]).detach().requires_grad_()
    found = objective.loss(anchors, whole)
    exact = anchors.detach().double().requires_grad_()
    expected = torch.zeros((), dtype=torch.float64)
    for number, row in enumerate(ROWS):
        one, two = exact[2 * number], exact[2 * number + 1]
        expected = expected + ((one @ two) / one.norm() / two.norm() - (row % 6) / 5) ** 2 / len(ROWS)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    gradients = torch.autograd.grad(found, anchors)[0], torch.autograd.grad(expected, exact)[0]
    assert torch.allclose(gradients[0].double(), gradients[1], atol=1e-6)
    theirs = CosineSimilarityLoss(SentenceTransformer(str(folder), device="cpu"))
    pairs = anchors.detach().unflatten(0, (-1, 2))
    labels = torch.tensor([(row % 6) / 5 for row in ROWS])
    assert found.item() == pytest.approx(
        theirs.compute_loss_from_embeddings([pairs[:, 0], pairs[:, 1]], labels).item(), rel=1e-5
    )


def test_scores_off_the_scale_are_refused(base: Backbone) -> None:
    text = tokenised(base, kind="scored_pairs")
    with pytest.raises(DataError, match="from 0 to 5"):
        build(base, text, MEAN, name="regression", scale=[1.0, 5.0])
    with pytest.raises(SettingError, match="lowest score first"):
        build(base, text, MEAN, name="regression", scale=[5.0, 0.0])
    assert loss_of(
        build(base, text, MEAN, name="regression", scale=[0.0, 9.0]),
        base,
        batch(text, ROWS, objective=build(base, text, MEAN, name="regression")),
    ).isfinite()
    assert np.ptp(text.scores) == 5.0  # type: ignore[arg-type]
