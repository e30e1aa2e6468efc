"""The straightforward procedure does the work of mlsg: same loss, same weights after steps, same dev score."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import BertModel

from benchmarks import material, ours, straightforward
from mlsg.model.backbone import load_backbone
from mlsg.model.pretrained import quiet_transformers
from mlsg.objectives.nt_xent import opt3
from mlsg.objectives.projection import projection_head
from tests.model.padded import pool
from tests.tiny_models import SENTENCES, tiny_bert

WIDTH = 48


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tiny_bert(tmp_path / "base", dropout=0.0, positions=256)
    with quiet_transformers():
        BertModel.from_pretrained(folder).save_pretrained(folder)  # with its pooler, as a real one
    return folder


def small_head(dimension: int) -> torch.nn.Sequential:
    return projection_head(dimension, width=WIDTH, depth=2, deviation=0.3, seed=5)


@pytest.mark.parametrize("view_pooling", ["max", "mean"])
def test_the_loss_is_opt3_plus_the_regulariser_of_mlsg(base: Path, view_pooling: str) -> None:
    head = small_head(32)
    plain = straightforward.start(base, 10, head=head, view_pooling=view_pooling)
    shift = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in plain.tuned.get_submodule("encoder").parameters():
            parameter.add_(torch.randn(parameter.shape, generator=shift), alpha=0.01)
    backbone = load_backbone(str(base))
    guide = backbone.copy_frozen()
    backbone.model.load_state_dict(plain.tuned.state_dict(), strict=False)
    texts = [*SENTENCES[:14], "", "ok"]

    ids, mask = backbone.tokenize(texts).batch(range(len(texts)))
    anchors = pool(backbone.hidden_states(ids, mask), mask, "cls")
    views = torch.stack([pool((state,), mask, view_pooling, 0) for state in guide.hidden_states(ids, mask)], dim=1)
    drift = sum(
        float((one.detach().double() - other.double()).square().sum())
        for one, other in zip(backbone.model.parameters(), guide.model.parameters(), strict=True)
    )
    expected = opt3(head(anchors), head(views), 0.01).item() + 0.1 * drift

    assert drift > 0.1
    plain.tuned.eval()
    plain.guide.eval()
    assert plain.loss(texts).item() == pytest.approx(expected, rel=1e-5)


def test_both_show_the_same_losses_and_end_with_the_same_weights(base: Path, tmp_path: Path) -> None:
    rate, texts = 1e-3, [*SENTENCES, *(f"{one} {other}" for one, other in zip(SENTENCES, SENTENCES[5:], strict=False))]
    with ours.on("cpu"):
        place = ours.setting(tmp_path / "ours", base, texts, None)
        fast = place.begin(objective=[f"head_width={WIDTH}", "temperature=0.01"], learning_rate=rate, batch_size=7)
    steps = fast.loop.plan.steps
    plain = straightforward.start(base, steps, head=copy.deepcopy(fast.loop.r.objective.parts["head"]), rate=rate)
    before = copy.deepcopy(plain.tuned.state_dict())

    for step in range(steps):
        batch = fast.texts_of(step)
        assert fast.step() == pytest.approx(float(plain.step(batch)), rel=1e-5 if step == 0 else 1e-3)

    tuned = fast.loop.r.tuned.model.state_dict()
    assert steps == 5 and len(batch) == 7
    for name, value in tuned.items():
        torch.testing.assert_close(value, plain.tuned.state_dict()[name], rtol=0, atol=2e-5, msg=name)
    name = "encoder.layer.1.output.dense.weight"
    assert (before[name] - tuned[name]).abs().max() > 1e-3


def test_dev_scores_are_equal(base: Path, tmp_path: Path) -> None:
    dev = material.dev_pairs(40)
    with ours.on("cpu"):
        fast = ours.setting(tmp_path / "ours", base, SENTENCES, dev).begin()
    fast.measure()
    plain = straightforward.start(base, 10)
    assert fast.loop.state.history[-1]["dev"] == pytest.approx(plain.evaluate(dev), abs=1e-6)


def test_dropout_is_on_in_the_guide_and_attention_maps_are_made(tmp_path: Path) -> None:
    plain = straightforward.start(tiny_bert(tmp_path / "base", dropout=0.2), 10, head=small_head(32))
    plain.step(SENTENCES[:4])
    assert plain.guide.training and plain.tuned.training
    features = plain._features(SENTENCES[:4])
    output = plain.guide(**features)
    assert len(output.attentions) == 2 and len(output.hidden_states) == 3
    assert not torch.equal(output.last_hidden_state, plain.guide(**features).last_hidden_state)


def test_a_whole_training_runs_and_saves_its_best(base: Path, tmp_path: Path) -> None:
    texts = [*SENTENCES, *SENTENCES[:15]]
    scores = straightforward.train(base, texts, material.dev_pairs(30), tmp_path / "out", device="cpu", seed=1)
    assert len(scores) == 2
    assert all(-1 <= score <= 1 for score in scores)
