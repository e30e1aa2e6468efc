"""Linear transforms against scikit-learn and their definitions, and what they do to the text they are fitted on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from mlsg import transforms
from mlsg.errors import DataError, SettingError


def drawn(count: int, width: int, seed: int = 0) -> torch.Tensor:
    """Vectors of unequal variances, with a mean far from 0."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.linspace(0.1, 3.0, width)
    mixed = torch.randn(width, width, generator=generator)
    return torch.randn(count, width, generator=generator) * scales @ mixed + 5.0


def fitted(vectors: torch.Tensor, **table: object) -> np.ndarray:
    settings = transforms.read(table)
    assert settings is not None
    with torch.no_grad():
        return settings.fit(vectors, 0, {})(vectors).double().numpy()


@pytest.mark.parametrize("dimension", [0, 5, 1])
def test_whitening_is_that_of_scikit_learn(dimension: int) -> None:
    vectors = drawn(400, 12)
    expected = PCA(dimension or 12, whiten=True, svd_solver="full").fit_transform(vectors.double().numpy())
    found = fitted(vectors, name="whitening", dimension=dimension)
    signs = np.sign((found * expected).sum(0))  # of an axis are left open
    np.testing.assert_allclose(found, expected * signs, atol=2e-4)


@given(shrinkage=st.floats(0, 1), power=st.floats(0, 1))
def test_shrinkage_and_power_are_what_they_say(shrinkage: float, power: float) -> None:
    vectors = drawn(60, 4)
    found = fitted(vectors, name="whitening", shrinkage=shrinkage, power=power)
    exact = vectors.double().numpy()
    variances = np.linalg.eigvalsh(np.cov(exact.T))[::-1]
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.mean()
    np.testing.assert_allclose(np.cov(found.T).diagonal(), variances / shrunk**power, rtol=1e-3)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)


def test_centring_takes_the_mean_and_nothing_else() -> None:
    vectors = drawn(50, 6)
    np.testing.assert_allclose(fitted(vectors, name="center"), (vectors - vectors.mean(0)).double().numpy(), atol=1e-5)


def test_centring_by_language_takes_the_mean_of_the_language_which_it_finds_by_itself() -> None:
    english, turkish = drawn(50, 6), drawn(30, 6, seed=1) + 40.0
    settings = transforms.read({"name": "center", "by": "language"})
    assert settings is not None
    fitted = settings.fit(torch.cat([english, turkish]), 0, {"en": 50, "tr": 30})
    mixed = torch.stack([turkish[0], english[0], turkish[29]])
    expected = torch.stack([turkish[0] - turkish.mean(0), english[0] - english.mean(0), turkish[29] - turkish.mean(0)])
    torch.testing.assert_close(fitted(mixed), expected, atol=1e-4, rtol=1e-5)
    with pytest.raises(DataError, match="the text is of one"):
        settings.fit(english, 0, {"en": 50})


@pytest.mark.parametrize(("directions", "taken"), [(0, 1), (2, 2)])
def test_all_but_the_top_leaves_no_variance_in_the_first_axes(directions: int, taken: int) -> None:
    vectors = drawn(300, 8)
    found = fitted(vectors, name="all_but_the_top", directions=directions)
    exact = vectors.double().numpy()
    _, _, axes = np.linalg.svd(exact - exact.mean(0), full_matrices=False)
    expected = (exact - exact.mean(0)) @ (np.eye(8) - axes[:taken].T @ axes[:taken])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_whitening_on_fewer_vectors_than_dimensions_is_refused_without_shrinkage() -> None:
    vectors = drawn(8, 12)
    with pytest.raises(DataError, match=r"12 dimensions on 8 sentences.*transform.shrinkage"):
        fitted(vectors, name="whitening")
    assert np.isfinite(fitted(vectors, name="whitening", shrinkage=0.1)).all()
    assert np.isfinite(fitted(vectors, name="whitening", dimension=7)).all()


def test_a_direction_without_variance_becomes_0_and_is_not_blown_up() -> None:
    vectors = torch.nn.functional.layer_norm(drawn(400, 12), (12,))
    found = fitted(vectors, name="whitening")
    np.testing.assert_allclose(np.cov(found.T).diagonal(), [*[1.0] * 11, 0.0], atol=1e-3)


def test_the_same_vectors_have_the_same_whitening_in_any_order() -> None:
    vectors = drawn(200, 6)
    settings = transforms.read({"name": "whitening"})
    assert settings is not None
    one, two = (settings.fit(each, 0, {}).state_dict() for each in (vectors, vectors.flip(0)))
    for name in one:
        assert torch.allclose(one[name], two[name], atol=1e-4), name


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "whiten"}, 'unknown transform "whiten".*whitening'),
        ({"shrinkage": 0.5}, "no name"),
        ({"name": "whitening", "shrinkage": 2.0}, "at most 1"),
        ({"name": "center", "shrinkage": 0.5}, "unknown key"),
    ],
)
def test_settings_that_cannot_be_are_refused(table: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        transforms.read(table)


@pytest.mark.parametrize("name", ["center", "whitening", "all_but_the_top"])
def test_one_vector_is_too_few(name: str) -> None:
    with pytest.raises(DataError, match="1 sentences"):
        fitted(drawn(1, 4), name=name)
