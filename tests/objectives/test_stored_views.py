"""Views kept in the workspace: the same as those computed on the fly, whatever is asked of them or was killed."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from mlsg import objectives
from mlsg.cache.workspace import Workspace
from mlsg.config.recipes import EncoderSettings
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.objectives import stored_views
from mlsg.objectives.interface import CacheKey, TrainingContext
from mlsg.objectives.self_guided import SelfGuided
from mlsg.objectives.stored_views import StoredViews
from mlsg.objectives.views import GuideViews
from mlsg.train.schedule import seed_of
from mlsg.train.text import TokenisedText
from tests.tiny_models import tiny_bert
from tests.train.small import HEAD, batch, loss_of, tokenised

ROWS = [3, 0, 11, 30, 7, 0]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(str(tiny_bert(tmp_path_factory.mktemp("bert"))))


@pytest.fixture(scope="module")
def text(base: Backbone) -> TokenisedText:
    return tokenised(base)


def built(
    base: Backbone, text: TokenisedText, workspace: Workspace | None, precision: str = "float32", **settings: Any
) -> SelfGuided:
    cache_key = None if workspace is None else CacheKey(workspace, "tiny", "sha256:tiny", "sentences", 64)
    cpu = torch.device("cpu")
    encoder = EncoderSettings(pooling="cls")
    context = TrainingContext(base, encoder, text, cpu, partial(seed_of, 1), precision, cache_key)
    made = objectives.read({"name": "self_guided", **HEAD, **settings}).build(context)
    assert isinstance(made, SelfGuided)
    return made


@pytest.mark.parametrize("loss", ["base", "opt1", "opt2", "opt3"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"view_pooling": "mean", "view_weighting": "sif"},
        {"view_pooling": "cls", "layers": [2, 0]},
        {"view_transform": "whiten"},
    ],
)
def test_stored_views_give_the_loss_of_views_on_the_fly(
    loss: str, settings: dict[str, Any], base: Backbone, text: TokenisedText, workspace: Workspace
) -> None:
    stored, computed = (built(base, text, where, loss=loss, **settings) for where in (workspace, None))
    for views in (stored.views, computed.views):
        kind = StoredViews if views is stored.views else GuideViews
        assert isinstance(getattr(views, "source", views), kind)
    asked = batch(text, ROWS)
    assert torch.allclose(stored.views(asked), computed.views(asked), atol=1e-5)
    assert loss_of(stored, base, asked).item() == pytest.approx(loss_of(computed, base, asked).item(), rel=1e-5)


def test_half_precision_changes_the_loss_by_little(base: Backbone, text: TokenisedText, workspace: Workspace) -> None:
    exact = built(base, text, None)
    for where in (workspace, None):
        half = built(base, text, where, view_precision="bf16")
        assert half.views(batch(text, ROWS)).dtype == torch.bfloat16
        losses = [loss_of(each, base, batch(text, ROWS)).item() for each in (half, exact)]
        assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_the_precision_of_views_is_that_of_training_unless_said(
    base: Backbone, text: TokenisedText, workspace: Workspace
) -> None:
    for precision, asked, expected in (("bf16", "train", torch.bfloat16), ("bf16", "float32", torch.float32)):
        views = built(base, text, workspace, precision, view_precision=asked).views
        assert views(batch(text, ROWS)).dtype == expected


def test_distinct_sentences_are_kept_once_with_all_layers(
    base: Backbone, text: TokenisedText, workspace: Workspace
) -> None:
    views = built(base, text, workspace, layers=[1]).views
    assert isinstance(views, StoredViews)
    assert sum(len(file) for file in views.files) == len(text.distinct) == len(text) - 1
    assert {tuple(file.shape[1:]) for file in views.files} == {(base.layers + 1, base.dimension)}
    assert torch.equal(*views(batch(text, [0, len(text) - 1])))  # the last sentence repeats the first


def test_trainings_that_ask_for_the_same_share_them(base: Backbone, text: TokenisedText, workspace: Workspace) -> None:
    same: list[dict[str, Any]] = [
        {},
        {"loss": "base"},
        {"layers": [0, 1]},
        {"temperature": 0.1},
        {"view_transform": "centre"},
        {"mask_duplicates": True},
    ]
    for settings in same:
        built(base, text, workspace, **settings)
    assert len(workspace.artefacts("views")) == 1
    for settings in ({"view_pooling": "mean"}, {"view_precision": "bf16"}):
        built(base, text, workspace, **settings)
    assert len(workspace.artefacts("views")) == 3


def test_what_the_recipe_and_the_size_of_the_text_decide(
    base: Backbone, text: TokenisedText, workspace: Workspace
) -> None:
    size = len(text.distinct) * (base.layers + 1) * base.dimension * 4
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"guide_dropout": True}, False),
        ({"view_cache_gb": size / 1e9}, True),
        ({"view_cache_gb": (size - 1) / 1e9}, False),
        ({"view_cache_gb": (size - 1) / 1e9, "view_precision": "bf16"}, True),
        ({"view_cache_gb": 0.0}, False),  # though they are there from the trainings before
    ]
    for settings, stored in cases:
        assert isinstance(built(base, text, workspace, **settings).views, StoredViews) == stored, settings


def test_a_killed_computation_goes_on_to_the_same_bytes(
    base: Backbone, text: TokenisedText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_views, "_ROWS", 10)
    whole, broken = Workspace(tmp_path / "whole"), Workspace(tmp_path / "broken")
    expected = built(base, text, whole).views(batch(text, ROWS))
    saved: list[Path] = []
    plain = stored_views.save_file

    def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if len(saved) == 2:
            Path(path).write_bytes(b"half a file")
            raise KeyboardInterrupt
        saved.append(path)
        plain(tensors, path)

    monkeypatch.setattr(stored_views, "save_file", save)
    with pytest.raises(KeyboardInterrupt):
        built(base, text, broken)
    assert broken.artefacts("views") == []
    saved.clear()
    again: list[Path] = []
    monkeypatch.setattr(stored_views, "save_file", lambda tensors, path: (again.append(path), plain(tensors, path)))
    found = built(base, text, broken).views(batch(text, ROWS))
    assert torch.equal(found, expected)
    files = [
        {path.name: path.read_bytes() for path in workspace.artefacts("views")[0].folder.glob("*.safetensors")}
        for workspace in (whole, broken)
    ]
    assert files[0] == files[1]
    assert len(again) == len(files[0]) - 2  # what was whole is not computed again


def test_a_training_that_waits_for_views_computes_some_of_them_to_the_same_bytes(
    base: Backbone, text: TokenisedText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_views, "_ROWS", 10)
    alone, shared = Workspace(tmp_path / "alone"), Workspace(tmp_path / "shared")
    built(base, text, alone)
    begun, helped = threading.Event(), threading.Event()
    makers: dict[str, int] = {}
    plain = stored_views.save_file

    def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
        assert path.name not in makers, "computed twice"
        makers[path.name] = threading.get_ident()
        if len(makers) == 1:
            begun.set()
            assert helped.wait(60)
        plain(tensors, path)
        if len(makers) == 2:
            helped.set()

    monkeypatch.setattr(stored_views, "save_file", save)
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(built, copy.deepcopy(base), text, shared)
        assert begun.wait(60)
        second = pool.submit(built, base, text, shared)
        views = [each.result().views(batch(text, ROWS)) for each in (first, second)]
    torch.set_num_threads(threads)  # both have set it, in an order of their own
    assert torch.equal(*views)
    files = [
        {path.name: path.read_bytes() for path in workspace.artefacts("views")[0].folder.glob("*.safetensors")}
        for workspace in (alone, shared)
    ]
    assert files[0] == files[1]
    assert len(set(makers.values())) == 2
