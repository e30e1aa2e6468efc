"""One pass, many chunks, and the plain formulation: the same loss and the same gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mlsg.config.recipes import EncoderSettings
from mlsg.errors import SettingError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.objectives.interface import Objective
from mlsg.objectives.nt_xent import LOSSES
from mlsg.train.loop import _Loop, fit
from mlsg.train.optimiser import GradientCache
from mlsg.train.schedule import draw_below
from mlsg.train.text import TokenisedText
from tests.model.padded import pool
from tests.tiny_models import tiny_bert
from tests.train.small import Small, batch, build, tokenised

ROWS = [3, 0, 11, 30, 7, 12, 13, 1, 2, 25, 17]
SEEDS = list(range(5, 5 + len(ROWS)))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    return {rate: tiny_bert(tmp_path_factory.mktemp(f"bert{rate}"), dropout=rate) for rate in (0.0, 0.3)}


def doubled(folder: Path, **settings: object) -> tuple[Backbone, Objective, TokenisedText]:
    """Base and objective in float64, drifted from each other."""
    base = load_backbone(str(folder))
    text = tokenised(base)
    base.double()
    objective = build(base, text, EncoderSettings(pooling="cls"), **settings)
    for part in objective.parts.values():
        part.double()
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.add_(0.01 * torch.ones_like(parameter))
    for parameter in base.embedding_parameters():
        parameter.requires_grad_(False)
    return base.train(), objective, text


def gradients(base: Backbone, objective: Objective) -> dict[str, torch.Tensor]:
    modules = {"tuned": base, **objective.parts}
    found = {f"{m}/{n}": p.grad for m, module in modules.items() for n, p in module.named_parameters()}
    return {name: grad.clone() for name, grad in found.items() if grad is not None}


def cleared(base: Backbone, objective: Objective) -> None:
    for module in (base, *objective.parts.values()):
        module.zero_grad(set_to_none=True)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_step_is_the_plain_formulation(loss: str, folders: dict[float, Path]) -> None:
    base, objective, text = doubled(folders[0.0], loss=loss, reg_weight=0.25, temperature=0.05)
    found = GradientCache(base, objective, CPU, "float32").gradients(batch(text, ROWS), SEEDS)
    assert objective.regulariser is not None
    found = found + objective.regulariser.add_gradient(
        {n: p for n, p in base.model.named_parameters() if p.requires_grad}
    )
    folded = gradients(base, objective)
    cleared(base, objective)

    ids, mask = text.tokens.batch(ROWS)  # padded, all hidden states, text after views through the head
    guide, head = objective.guide, objective.parts["head"]  # type: ignore[attr-defined]
    anchors = pool(base.hidden_states(ids, mask), mask, "cls")
    with torch.no_grad():
        views = torch.stack([pool(guide.hidden_states(ids, mask), mask, "max", layer) for layer in range(3)], 1)
    if loss != "opt3":
        views = torch.stack([views[i, draw_below(3, 1, "layer", 0, row)] for i, row in enumerate(ROWS)])
    fixed = dict(guide.named_parameters())
    drift = sum((p - fixed[name]).square().sum() for name, p in base.named_parameters() if p.requires_grad)
    expected = LOSSES[loss](head(anchors), head(views), 0.05, None) + 0.25 * drift
    expected.backward()
    plain = gradients(base, objective)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert folded.keys() == plain.keys()
    for name, gradient in plain.items():
        assert torch.allclose(folded[name], gradient, atol=1e-6 * float(gradient.abs().max()) + 1e-9), name


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_chunks_equal_one_graph_of_all_of_them(loss: str, dropout: float, folders: dict[float, Path]) -> None:
    base, objective, text = doubled(folders[dropout], loss=loss)
    asked = batch(text, ROWS, chunk=4)
    found = GradientCache(base, objective, CPU, "float32").gradients(asked, SEEDS)
    chunked = gradients(base, objective)
    cleared(base, objective)
    anchors = []
    for packed, seed in zip(asked.mini_batches, SEEDS[::4], strict=True):  # this base has torch's dropout
        torch.manual_seed(seed)
        anchors.append(objective.anchors(base, packed))
    expected = objective.loss(torch.cat(anchors), asked)
    expected.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    for name, gradient in gradients(base, objective).items():
        assert torch.allclose(chunked[name], gradient, rtol=1e-7, atol=1e-10), name


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_chunks_equal_the_whole_batch_in_one_pass(dropout: float, folders: dict[float, Path]) -> None:
    base, objective, text = doubled(folders[dropout])
    results = []
    for chunk in (0, 4, 1):
        passes = GradientCache(base.for_training(), objective, CPU, "float32")
        results.append((passes.gradients(batch(text, ROWS, chunk=chunk), SEEDS).item(), gradients(base, objective)))
        cleared(base, objective)
    for loss, found in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-5)
        for name, gradient in results[0][1].items():
            assert torch.allclose(found[name], gradient, atol=1e-5 * float(gradient.abs().max()) + 1e-9), name


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_training_in_chunks_is_training_on_the_whole_batch(
    dropout: float, folders: dict[float, Path], tmp_path: Path
) -> None:
    weights = []
    for chunk in (0, 3):
        small = Small(folders[dropout], tmp_path / str(chunk), dev=False)
        small.train.update(batch_size=11, mini_batch_size=chunk, learning_rate=1e-4)
        weights.append(small.run()[1].tuned.state_dict())
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=1e-5), name


def test_bf16_gradients_are_near_those_of_float32(folders: dict[float, Path]) -> None:
    base = load_backbone(str(folders[0.0]))
    text = tokenised(base)
    objective = build(base, text, EncoderSettings(pooling="cls"), temperature=0.1)
    base.train()
    found = []
    for precision, chunk in (("float32", 0), ("bf16", 0), ("bf16", 4)):
        GradientCache(base, objective, CPU, precision).gradients(batch(text, ROWS, chunk=chunk), SEEDS)
        found.append(torch.cat([g.flatten() for g in gradients(base, objective).values()]))
        cleared(base, objective)
    for half in found[1:]:
        assert half.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(half, found[0], dim=0).item() > 0.98


def test_the_longest_sentences_are_tried_first_and_change_nothing(
    folders: dict[float, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Small(folders[0.3], tmp_path / "with")
    run = small.prepared()
    seen: list[np.ndarray] = []
    plain = run.objective.loss
    monkeypatch.setattr(run.objective, "loss", lambda anchors, b: (seen.append(b.rows), plain(anchors, b))[1])
    fit(run)
    lengths = run.text.tokens.lengths
    assert sorted(lengths[seen[0]]) == sorted(lengths)[-4:]
    monkeypatch.setattr(_Loop, "_rehearse", lambda self: None)
    small.scratch = tmp_path / "without"
    for one, two in zip(run.tuned.parameters(), small.run()[1].tuned.parameters(), strict=True):
        assert torch.equal(one, two)


def test_too_little_memory_is_said_before_the_first_step(
    folders: dict[float, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Small(folders[0.0], tmp_path / "scratch").prepared()

    def starved(tuned: object, packed: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(run.objective, "anchors", starved)
    with pytest.raises(SettingError, match="longest 4 sentences") as caught:
        fit(run)
    assert "train.mini_batch_size" in caught.value.remedy
