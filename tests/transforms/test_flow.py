"""The flow: its inverse, its log-determinant against autograd's Jacobian, its likelihood, and that it learns."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsg import transforms
from mlsg.errors import DataError, ModelError
from mlsg.model.flow import Flow
from mlsg.model.folder import ModuleFolder
from mlsg.model.modules import read_module, write_module


def moved(flow: Flow, seed: int) -> Flow:
    """Away from where it begins: no weight is 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype), alpha=0.1)
    return flow


@given(dimension=st.integers(2, 13), levels=st.integers(1, 4), depth=st.integers(1, 3), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_inverse_and_log_determinant_are_those_of_the_map(dimension: int, levels: int, depth: int, seed: int) -> None:
    flow = moved(Flow(dimension, levels=levels, depth=depth, width=4, seed=seed % 97).double(), seed)
    vectors = torch.randn(3, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found, log_determinant = flow.with_log_determinant(vectors)
    assert found.shape == vectors.shape
    assert torch.allclose(flow.inverse(found), vectors, atol=1e-6)
    for vector, own in zip(vectors, log_determinant, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0], vector)
        assert own.item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-6)


def test_bits_are_the_negative_log_density_by_change_of_variables() -> None:
    flow = moved(Flow(6, levels=2, depth=2, width=4, seed=1).double(), 2)
    vectors = torch.randn(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found, log_determinant = flow.with_log_determinant(vectors)
    normal = torch.distributions.Normal(torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64))
    expected = -(normal.log_prob(found).sum(1) + log_determinant).mean() / math.log(2) / 6
    assert flow.bits_per_dimension(vectors).item() == pytest.approx(expected.item(), abs=1e-12)


def test_the_first_batch_leaves_every_step_standardised() -> None:
    flow = Flow(8, levels=1, depth=2, width=4, seed=1)
    vectors = 3 * torch.randn(500, 8, generator=torch.Generator().manual_seed(1)) + 7
    flow.start_from(vectors)
    scaled = (vectors + flow.steps[0].shift) * flow.steps[0].log_scale.exp()
    assert torch.allclose(scaled.mean(0), torch.zeros(8), atol=1e-4)
    assert torch.allclose(scaled.std(0, correction=0), torch.ones(8), atol=1e-4)


def test_fitting_makes_the_text_more_likely_and_is_the_same_for_a_seed() -> None:
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(2000, 8, generator=generator) @ torch.randn(8, 8, generator=generator) + 2
    chosen = transforms.read({"name": "flow", "epochs": 5})
    assert chosen is not None
    flow = chosen.fit(vectors, 3, {})
    assert isinstance(flow, Flow)
    start = Flow(8, levels=3, depth=3, width=32, seed=3)
    start.start_from(vectors[:32])
    assert flow.bits_per_dimension(vectors) < start.bits_per_dimension(vectors) - 0.05
    again = chosen.fit(vectors, 3, {})
    assert all(
        torch.equal(one, two) for one, two in zip(flow.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_a_flow_on_fewer_vectors_than_a_batch_is_refused() -> None:
    chosen = transforms.read({"name": "flow"})
    assert chosen is not None
    with pytest.raises(DataError, match=r"transform.batch_size = 32"):
        chosen.fit(torch.zeros(31, 8), 1, {})


def test_a_saved_flow_is_read_back_and_a_damaged_one_refused(tmp_path: Path) -> None:
    flow = moved(Flow(9, levels=2, depth=1, width=4, seed=1), 1).requires_grad_(False)
    write_module(flow, tmp_path)
    read = read_module(ModuleFolder("Flow", tmp_path), 9)
    vectors = torch.randn(4, 9)
    assert torch.equal(read(vectors), flow(vectors))
    with pytest.raises(ModelError, match="dimensions"):
        read_module(ModuleFolder("Flow", tmp_path), 8)
    config = tmp_path / "config.json"
    for wrong in ("99999", "3"):
        config.write_text(f'{{"dimension": 9, "levels": {wrong}, "depth": 1, "width": 4}}')
        with pytest.raises(ModelError):
            read_module(ModuleFolder("Flow", tmp_path), 9)
    config.write_text('{"dimension": 9, "levels": 999999999, "depth": 999, "width": 999999}')
    with pytest.raises(ModelError):
        read_module(ModuleFolder("Flow", tmp_path), 9)
