"""Packed rows: vectors and gradients of sentences that stand alone, with little padding, for bases that allow it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertModel,
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
)

from mlsg.errors import SettingError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.fast.packing import WASTE, Packed, pack, pool_layers, pool_packed, pool_rows
from mlsg.model.tokens import Tokens
from tests.model.padded import pool
from tests.model.texts import TEXTS
from tests.tiny_models import tiny_bert, tiny_xlmr

ROWS = [3, 0, 5, 9, 1, 0, 7, 15, 8, 11]
"""Rows in no order, with a repetition, an empty text and two that are cut at the maximum."""


@pytest.fixture(scope="module", params=["bert", "xlmr"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    make = tiny_bert if request.param == "bert" else tiny_xlmr
    return load_backbone(str(make(tmp_path_factory.mktemp("base") / request.param, layers=3)))


def waste(packed: Packed) -> float:
    """Share of the layout that is padding."""
    return 1 - len(packed.places) / max(1, packed.ids.numel())


def invented(lengths: list[int]) -> Tokens:
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Tokens(np.arange(starts[-1], dtype=np.int32), starts, np.zeros(len(lengths), dtype=bool), -7)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first_last"])
@pytest.mark.parametrize("layer", [-1, 1])
@torch.no_grad()
def test_packed_vectors_are_those_of_each_sentence_alone(backbone: Backbone, pooling: str, layer: int) -> None:
    tokens = backbone.tokenize(TEXTS)
    assert backbone.packs
    packed = pack(tokens, ROWS, budget=100)
    assert len(packed.ids) < len(packed)
    found = pool_packed(backbone.states_of(packed), packed, pooling, layer)
    for place, row in enumerate(ROWS):
        ids, mask = tokens.batch([row])
        expected = pool(backbone.hidden_states(ids, mask), mask, pooling, layer)
        torch.testing.assert_close(found[place], expected[0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_each_token_has_the_hidden_states_of_the_padded_path(backbone: Backbone) -> None:
    tokens = backbone.tokenize(TEXTS)
    ids, mask = tokens.batch(ROWS)
    packed = pack(tokens, ROWS)
    for padded, state in zip(backbone.hidden_states(ids, mask), backbone.states_of(packed), strict=True):
        torch.testing.assert_close(state.flatten(0, 1)[packed.places], padded[mask == 1], atol=1e-5, rtol=0)
    last = backbone.last_state_of(packed).flatten(0, 1)
    torch.testing.assert_close(last[packed.firsts], padded[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_gradients_are_those_of_the_padded_path(backbone: Backbone, pooling: str) -> None:
    tokens = backbone.tokenize(TEXTS)
    weights = torch.randn(len(ROWS), backbone.dimension, generator=torch.Generator().manual_seed(0))

    def gradients(vectors: torch.Tensor) -> list[torch.Tensor]:
        backbone.zero_grad()
        (vectors * weights).sum().backward()
        return [p.grad.clone() for p in backbone.model.encoder.parameters()]

    ids, mask = tokens.batch(ROWS)
    packed = pack(tokens, ROWS)
    expected = gradients(pool(backbone.hidden_states(ids, mask), mask, pooling))
    found = gradients(pool_packed(backbone.states_of(packed), packed, pooling))
    backbone.zero_grad(set_to_none=True)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("how", ["cls", "mean", "max"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_pooling_rows_is_a_loop_over_sentences(how: str, dtype: torch.dtype) -> None:
    packed = pack(invented([3, 1, 7, 2, 2, 9]), [5, 1, 1, 0, 4], budget=8)
    states = torch.randn(*packed.ids.shape, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = pool_rows(states, packed, how)
    for sentence in range(len(packed)):
        own = states[packed.owners == sentence]
        expected = {"cls": own[0], "mean": own.float().mean(0) if dtype == torch.bfloat16 else own.mean(0)}
        torch.testing.assert_close(found[sentence], expected.get(how, own.amax(0)))
    torch.testing.assert_close(pool_layers([states, -states], packed, how)[:, 1], pool_rows(-states, packed, how))


@pytest.mark.parametrize("together", [True, False])
def test_a_layout_holds_every_token_once_in_order(together: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        tokens = invented(rng.integers(1, 60, 30).tolist())
        rows = rng.integers(0, 30, 16)
        packed = pack(tokens, rows, together=together)
        for sentence, row in enumerate(rows):
            own = packed.owners == sentence
            assert packed.ids[own].tolist() == tokens.ids(row).tolist()
            assert packed.positions[own].tolist() == list(range(tokens.lengths[row]))
            assert int(own.flatten().nonzero()[0]) == packed.firsts[sentence]
        assert (packed.ids[packed.owners == -1] == -7).all()
        assert packed.ids.flatten()[packed.places].tolist() == np.concatenate([tokens.ids(r) for r in rows]).tolist()


def test_batches_of_real_lengths_waste_under_five_percent(shared: Path) -> None:
    lines = (shared / "data/STS/STSBenchmark/sts-train.csv").read_text("utf-8").splitlines()
    rng = np.random.default_rng(0)
    sentences = [line.split("\t")[5] for line in lines]
    backbone = load_backbone("starter")
    tokens = backbone.tokenize(sentences)
    for size in (2, 16, 64, 300):
        used = laid = longest = 0
        for _ in range(20):
            packed = pack(tokens, rng.choice(len(sentences), size, replace=False))
            used, laid, longest = used + len(packed.places), laid + packed.ids.numel(), max(longest, *packed.ids.shape)
            assert waste(packed) < WASTE
        assert 1 - used / laid < 0.045
        assert packed.ids.shape[1] <= 300


@pytest.mark.parametrize(
    "lengths", [[128, 128, 128], [1], [200, *[5] * 100], [300, 300, 2], [2] * 500, [7], [256, 1], [], [90, 90, 90, 90]]
)
def test_odd_lengths_are_laid_out_too(lengths: list[int]) -> None:
    packed = pack(invented(lengths), range(len(lengths)))
    assert packed.lengths.tolist() == lengths
    assert waste(packed) < WASTE or not lengths


CONFIGS = {
    "albert": (AlbertModel, AlbertConfig, {"embedding_size": 16}, True),
    "distilbert": (DistilBertModel, DistilBertConfig, {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}, True),
    "electra": (ElectraModel, ElectraConfig, {"embedding_size": 16}, True),
    "mpnet": (MPNetModel, MPNetConfig, {}, False),
    "modernbert": (ModernBertModel, ModernBertConfig, {"local_attention": 4, "cls_token_id": 2}, False),
    "deberta": (
        DebertaV2Model,
        DebertaV2Config,
        {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
        False,
    ),
}


@pytest.mark.parametrize("kind", CONFIGS)
@torch.no_grad()
def test_other_bases_share_rows_or_are_given_their_own(kind: str, tmp_path: Path) -> None:
    tokenizer = load_backbone(str(tiny_bert(tmp_path / "bert"))).tokenizer
    model, config, settings, packs = CONFIGS[kind]
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    made = model(
        config(**{"vocab_size": len(tokenizer), "pad_token_id": 0, **({} if "dim" in settings else size)} | settings)
    )
    made.save_pretrained(tmp_path / kind)
    tokenizer.save_pretrained(tmp_path / kind)
    backbone = load_backbone(str(tmp_path / kind), max_length=64)
    assert backbone.packs == packs
    tokens = backbone.tokenize(TEXTS)
    packed = pack(tokens, ROWS, together=backbone.packs)
    assert packed.together == packs
    ids, mask = tokens.batch(ROWS)
    expected = pool(backbone.hidden_states(ids, mask), mask, "mean")
    torch.testing.assert_close(pool_packed(backbone.states_of(packed), packed, "mean"), expected, atol=1e-5, rtol=0)


def test_a_base_that_disagrees_in_the_trial_gets_its_own_rows(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = backbone.copy_frozen()
    monkeypatch.setattr("mlsg.model.backbone.first_position", lambda model: 5)
    assert not other.packs


def test_a_wrong_pooling_is_named() -> None:
    packed = pack(invented([2, 3]), [0, 1])
    with pytest.raises(SettingError, match='did you mean "mean"'):
        pool_rows(torch.zeros(1, 5, 2), packed, "men")


def test_moving_to_a_device_keeps_everything() -> None:
    packed = pack(invented([2, 3]), [0, 1])
    moved = packed.to(torch.device("cpu"))
    assert isinstance(moved, Packed)
    assert moved.together
    assert torch.equal(moved.mask, packed.mask)
