"""Token weights and fitted maps against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlsg.objectives.views import fit_moments, sif_weights, whitening


def test_sif_weights_are_a_over_a_plus_p() -> None:
    weights = sif_weights(torch.tensor([0, 1, 99, 900]))
    expected = [1e-3 / (1e-3 + count / 1000) for count in (0, 1, 99, 900)]
    assert weights.tolist() == pytest.approx(expected, rel=1e-6)


def views(n: int = 2, d: int = 5, sentences: int = 40) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    mixing = torch.randn(n, d, d, generator=generator, dtype=torch.float64)
    plain = torch.randn(sentences, n, d, generator=generator, dtype=torch.float64)
    return torch.einsum("snd,nde->sne", plain, mixing) + 4.0


def test_moments_equal_numpys_per_layer_whatever_the_batches() -> None:
    data = views()
    means, covariances = fit_moments([data[:7], data[7:8], data[8:]])
    for layer in range(2):
        rows = data[:, layer].numpy()
        assert np.allclose(means[layer].numpy(), rows.mean(0), atol=1e-12)
        assert np.allclose(covariances[layer].numpy(), np.cov(rows.T, bias=True), atol=1e-10)


def test_whitened_views_have_unit_covariance_after_shrinkage() -> None:
    _, covariances = fit_moments([views()])
    for shrinkage in (0.1, 1.0):
        maps = whitening(covariances, shrinkage)
        for covariance, made in zip(covariances.numpy(), maps.numpy(), strict=True):
            shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 5 * np.eye(5)
            assert np.allclose(made @ shrunk @ made.T, np.eye(5), atol=1e-9)
            assert np.allclose(made, made.T, atol=1e-9)


def test_directions_without_variance_are_not_blown_up_without_bound() -> None:
    covariance = torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64))[None]
    assert whitening(covariance, 0.1).abs().max().item() == pytest.approx((0.1 * 0.5) ** -0.5)


def test_a_layer_without_variance_is_left_as_it_is() -> None:
    assert torch.equal(whitening(torch.zeros(1, 3, 3, dtype=torch.float64), 0.1)[0], torch.eye(3, dtype=torch.float64))
