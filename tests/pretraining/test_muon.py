"""Muon against an orthogonalisation by SVD in float64."""

from __future__ import annotations

import pytest
import torch

from mlsg.pretraining.muon import Muon, orthogonal
from mlsg.pretraining.optimiser import rate_at
from mlsg.pretraining.settings import PretrainSettings


def _polar(matrix: torch.Tensor) -> torch.Tensor:
    left, _, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    return left @ right


@pytest.mark.parametrize("shape", [(48, 48), (32, 96), (96, 32)])
def test_matrices_become_nearly_orthogonal(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    for found, matrix in zip(orthogonal(matrices).double(), matrices, strict=True):
        values = torch.linalg.svdvals(found)
        assert values.max() < 1.3
        assert (values > 0.6).float().mean() > 0.95
        wanted = _polar(matrix)
        cosine = (found * wanted).sum() / (found.norm() * wanted.norm())
        assert cosine > 0.97


def test_a_step_goes_along_the_orthogonal_momentum() -> None:
    draws = torch.Generator().manual_seed(1)
    start, gradients = torch.randn(24, 72, generator=draws), torch.randn(2, 24, 72, generator=draws)
    matrix = torch.nn.Parameter(start.clone())
    muon = Muon([matrix], momentum=0.9)
    momentum, expected = torch.zeros(24, 72).double(), start.double()
    for gradient in gradients:
        matrix.grad = gradient.clone()
        muon.step(0.1, 0.5)
        momentum = 0.9 * momentum + 0.1 * gradient.double()
        nesterov = 0.1 * gradient.double() + 0.9 * momentum
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * _polar(nesterov)
    moved, wanted = matrix.detach().double() - start, expected - start
    assert (moved * wanted).sum() / (moved.norm() * wanted.norm()) > 0.97
    assert abs(moved.norm() / wanted.norm() - 1) < 0.2


def test_the_rate_climbs_stays_and_falls() -> None:
    settings = PretrainSettings(tokens=100_000, batch_tokens=64, warmup_tokens=10_000, decay=0.2)
    tokens = (0, 5_000, 10_000, 50_000, 80_000, 90_000, 100_000)
    assert [round(rate_at(each, settings), 2) for each in tokens] == [0, 0.5, 1, 1, 1, 0.5, 0]
