"""Objectives on pairs: back-translation, and self-guidance whose guide reads the paraphrase."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mlsg.config.recipes import EncoderSettings
from mlsg.errors import SettingError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.objectives.nt_xent import opt3
from tests.objectives.test_nt_xent import written_base
from tests.tiny_models import tiny_bert
from tests.train.small import batch, build, loss_of, tokenised

CLS = EncoderSettings(pooling="cls")
ROWS = [3, 0, 11, 30, 7]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def base(folder: Path) -> Backbone:
    return load_backbone(str(folder)).eval()


def column(base: Backbone, rows: list[int]) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        return base.hidden_states(*tokenised(base, kind="pairs").tokens.batch(rows))


def test_back_translation_is_the_base_loss_over_both_sentences(base: Backbone) -> None:
    text = tokenised(base, kind="pairs")
    objective = build(base, text, CLS, name="back_translation", temperature=0.3, head_depth=0)
    found = loss_of(objective, base, batch(text, ROWS, objective=objective))
    first, second = (column(base, [2 * row + k for row in ROWS])[-1][:, 0] for k in (0, 1))
    expected = written_base(first, second, torch.zeros(5, 5, dtype=torch.bool))
    assert found.item() == pytest.approx(expected, rel=1e-4)
    assert objective.regulariser is not None
    assert objective.regulariser.strength == 0.1


def test_the_guide_reads_the_second_sentence_and_the_tuned_copy_the_first(base: Backbone) -> None:
    text = tokenised(base, kind="pairs")
    objective = build(base, text, CLS, name="sg_bt", temperature=0.3, head_depth=0)
    found = loss_of(objective, base, batch(text, ROWS, objective=objective))
    anchors = column(base, [2 * row for row in ROWS])[-1][:, 0]
    views = []
    for row in ROWS:
        views.append(torch.stack([state[0].amax(0) for state in column(base, [2 * row + 1])]))
    assert found.item() == pytest.approx(opt3(anchors, torch.stack(views), 0.3).item(), rel=1e-4)


def test_a_shared_guide_cannot_read_another_sentence(base: Backbone) -> None:
    with pytest.raises(SettingError, match="self_guided"):
        build(base, tokenised(base, kind="pairs"), CLS, name="sg_bt", guide="shared")
