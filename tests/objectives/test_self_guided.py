"""Self-guided training on a tiny base: its loss written out, the guide, every setting that changes the views."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mlsg.config.recipes import EncoderSettings
from mlsg.errors import SettingError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.objectives.nt_xent import LOSSES
from mlsg.objectives.self_guided import SelfGuided
from mlsg.train.schedule import draw_below
from mlsg.train.text import TokenisedText
from tests.tiny_models import tiny_bert
from tests.train.small import batch, build, loss_of, tokenised

ROWS = [3, 0, 11, 30, 7]
CLS = EncoderSettings(pooling="cls")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def base(folder: Path) -> Backbone:
    return load_backbone(str(folder))


@pytest.fixture
def text(base: Backbone) -> TokenisedText:
    return tokenised(base)


def states_of(base: Backbone, text: TokenisedText, row: int) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return base.hidden_states(*text.tokens.batch([row]))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_of_a_batch_is_its_parts_put_together(loss: str, base: Backbone, text: TokenisedText) -> None:
    objective = build(base, text, CLS, loss=loss, reg_weight=0.25, temperature=0.1)
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.add_(0.01)
    found = loss_of(objective, base, batch(text, ROWS))
    guide = objective.guide  # type: ignore[attr-defined]
    anchors = torch.cat([states_of(base, text, row)[-1][:, 0] for row in ROWS])
    views = torch.stack([torch.stack([s.amax(1)[0] for s in states_of(guide, text, row)]) for row in ROWS])
    if loss != "opt3":
        views = torch.stack([views[i, draw_below(3, 1, "layer", 0, row)] for i, row in enumerate(ROWS)])
    head = objective.parts["head"]
    expected = LOSSES[loss](head(anchors), head(views), 0.1, None)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    drift = sum(0.01**2 * parameter.numel() for parameter in base.parameters())
    assert objective.regulariser is not None
    assert objective.regulariser.add_gradient(dict(base.model.named_parameters())).item() == pytest.approx(
        0.25 * drift, rel=1e-4
    )


def test_one_layer_a_sentence_is_drawn_anew_each_epoch(base: Backbone, text: TokenisedText) -> None:
    objective = build(base, text, CLS, loss="base")
    values = [loss_of(objective, base.eval(), batch(text, ROWS, epoch)).item() for epoch in (0, 0, 1)]
    assert values[0] == values[1]
    assert values[0] != values[2]


def test_the_guide_stays_in_evaluation_mode_when_the_rest_is_trained(base: Backbone, text: TokenisedText) -> None:
    objective = build(base, text, CLS)
    assert isinstance(objective, SelfGuided)
    base.train()
    for part in objective.parts.values():
        part.train()
    assert not any(module.training for module in objective.guide.modules())
    assert not any(parameter.requires_grad for parameter in objective.guide.parameters())
    views = [objective.views(batch(text, ROWS)) for _ in range(2)]
    assert torch.equal(*views)
    assert not views[0].requires_grad


def test_guide_dropout_switches_it_on_as_in_the_authors_code(base: Backbone, text: TokenisedText) -> None:
    objective = build(base, text, CLS, guide_dropout=True)
    assert isinstance(objective, SelfGuided)
    assert all(module.training for module in objective.guide.modules())
    plain, *found = [
        each.views(batch(text, ROWS, epoch, chunk=size))  # type: ignore[attr-defined]
        for each, epoch, size in (
            (build(base, text, CLS), 0, 0),
            (objective, 0, 0),
            (objective, 0, 2),
            (objective, 1, 0),
        )
    ]
    assert torch.allclose(found[0], found[1], atol=1e-5)  # masks are by sentence
    assert not torch.allclose(found[0], found[2], atol=1e-2)
    assert not torch.allclose(found[0], plain, atol=1e-2)


def test_the_guide_does_not_follow_the_tuned_copy(base: Backbone, text: TokenisedText) -> None:
    objective = build(base, text, CLS)
    assert isinstance(objective, SelfGuided)
    before = objective.views(batch(text, ROWS))
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.add_(1.0)
    assert torch.equal(before, objective.views(batch(text, ROWS)))


def test_a_subset_of_layers_is_taken_in_the_given_order(base: Backbone, text: TokenisedText) -> None:
    all_of_them = build(base, text, CLS).views(batch(text, ROWS))  # type: ignore[attr-defined]
    some = build(base, text, CLS, layers=[2, 0]).views(batch(text, ROWS))  # type: ignore[attr-defined]
    assert torch.equal(some, all_of_them[:, [2, 0]])


def test_a_layer_that_the_base_does_not_have_is_refused(base: Backbone, text: TokenisedText) -> None:
    with pytest.raises(SettingError, match="layers 0 to 2"):
        build(base, text, CLS, layers=[1, 3])


def test_sif_views_weigh_tokens_by_how_rare_they_are_in_the_text(base: Backbone, text: TokenisedText) -> None:
    views = build(base, text, CLS, view_pooling="mean", view_weighting="sif").views(batch(text, ROWS))  # type: ignore[attr-defined]
    flat = text.tokens.flat.tolist()
    for i, row in enumerate(ROWS):
        ids = text.tokens.ids(row).tolist()
        weights = [1e-3 / (1e-3 + flat.count(token) / len(flat)) for token in ids]
        state = states_of(base, text, row)[1][0]
        expected = sum(w * vector for w, vector in zip(weights, state, strict=True)) / sum(weights)
        assert torch.allclose(views[i, 1], expected, atol=1e-5)


def distinct_views(base: Backbone, text: TokenisedText, **settings: str) -> Tensor:
    return build(base, text, CLS, **settings).views(batch(text, text.distinct.tolist()))  # type: ignore[attr-defined]


def test_centred_views_have_mean_zero_over_the_distinct_sentences(base: Backbone, text: TokenisedText) -> None:
    centred = distinct_views(base, text, view_transform="centre")
    assert centred.mean(0).abs().max().item() < 1e-5
    assert torch.allclose(centred + distinct_views(base, text).mean(0), distinct_views(base, text), atol=1e-5)


def test_whitened_views_have_no_mean_and_variance_shrunk_below_one(base: Backbone, text: TokenisedText) -> None:
    white = distinct_views(base, text, view_transform="whiten").double()
    assert white.mean(0).abs().max().item() < 1e-4
    for n in range(white.shape[1]):
        values = torch.linalg.eigvalsh(white[:, n].T @ white[:, n] / len(white))
        assert values.max().item() <= 1 / 0.9 + 1e-3
        assert values.max().item() > 0.9


def test_duplicates_are_masked_only_where_asked(base: Backbone, text: TokenisedText) -> None:
    rows = [0, len(text) - 1, 5]  # the last sentence repeats the first
    assert text.duplicates(rows).tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    plain, masked = (
        loss_of(build(base, text, CLS, mask_duplicates=m), base, batch(text, rows)).item() for m in (False, True)
    )
    assert masked < plain


@pytest.mark.parametrize(("pooling", "layer"), [("mean", -1), ("max", 1), ("first_last", -1)])
def test_the_anchor_is_pooled_as_the_encoder_is(pooling: str, layer: int, base: Backbone, text: TokenisedText) -> None:
    from tests.model.padded import pool

    settings = EncoderSettings(pooling=pooling, layer=layer)  # type: ignore[arg-type]
    objective = build(base, text, settings, head_depth=0, temperature=0.5)
    ids, mask = text.tokens.batch(ROWS)
    anchors = pool(base.hidden_states(ids, mask), mask, pooling, layer)
    expected = LOSSES["opt3"](anchors, objective.views(batch(text, ROWS)), 0.5, None)  # type: ignore[attr-defined]
    assert loss_of(objective, base, batch(text, ROWS)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_is_bounded_below_by_zero(base: Backbone, text: TokenisedText) -> None:
    value = loss_of(build(base, text, CLS), base, batch(text, ROWS)).item()
    assert 0 < value < math.inf
