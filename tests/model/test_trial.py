"""Each kind of encoder gives transformers' numbers and can be trained, or is refused by name when it is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from mlsg.errors import ModelError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.fast.dropout import masks_of
from mlsg.model.fast.packing import pack, pool_packed
from tests.tiny_models import SENTENCES, tiny_bert

TEXTS = [*SENTENCES[:5], "word after word " * 60, "a"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
DROPOUT = {"attention_probs_dropout_prob": 0.1, "hidden_dropout_prob": 0.1}
RUN: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16, **DROPOUT},
    "big_bird": {"attention_type": "original_full"},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "electra": {"embedding_size": 16},
    "esm": {"position_embedding_type": "rotary", **DROPOUT},
    "eurobert": {"attention_dropout": 0.1},
    "gte": DROPOUT,
    "ibert": {},
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 10, "entity_emb_size": 8},
    "modernbert": {"local_attention": 8, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
    "mpnet": {},
    "nomic_bert": DROPOUT,
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "roberta": {},
    "roberta-prelayernorm": {},
    "roc_bert": {},
    "xlm-roberta-xl": {},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "big_bird": ({"block_size": 4, "num_random_blocks": 1}, "attends to blocks only from 29 tokens on"),
    "convbert": ({}, "lets padding change its vectors"),
    "fnet": ({}, "lets padding change its vectors"),
    "mra": ({}, "does not attend"),
    "nystromformer": ({}, "lets padding change its vectors"),
    "yoso": ({}, "lets padding change its vectors"),
}
BY_TORCH = {"longformer"}
"""Kinds whose dropout masks are torch's own: they change with the batch."""


def made(folder: Path, kind: str, **settings: Any) -> Path:
    """A tiny model of random weights, with the tokenizer of a tiny BERT."""
    tiny_bert(folder, positions=512)
    known = {"vocab_size": 352, "pad_token_id": 1, "max_position_embeddings": 66}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModel.from_config(AutoConfig.for_model(kind, **{**known, **SIZES, **settings})).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=RUN)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Backbone]:
    folder = made(tmp_path_factory.mktemp("model") / "model", request.param, **RUN[request.param])
    return request.param, folder, load_backbone(str(folder))


@torch.no_grad()
def test_vectors_are_those_of_transformers_for_each_text_alone(kind: tuple[str, Path, Backbone]) -> None:
    _, folder, backbone = kind
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = backbone.tokenize(TEXTS)
    ready = backbone.for_inference("float32")
    packed = pack(tokens, range(len(TEXTS)), together=ready.packs)
    found = pool_packed((ready.last_state_of(packed),), packed, "mean")
    for row in range(len(TEXTS)):
        ids, mask = tokens.batch([row])
        expected = model(input_ids=ids, attention_mask=mask).last_hidden_state[0].mean(0)
        torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=0)


def test_dropout_belongs_to_the_sentences_where_torch_does_not_draw_it(kind: tuple[str, Path, Backbone]) -> None:
    name, _, backbone = kind
    ready, tokens = backbone.for_training(), backbone.tokenize(SENTENCES[:4])

    def vectors(rows: list[int]) -> torch.Tensor:
        packed = pack(tokens, rows, together=ready.packs)
        with masks_of([10 + row for row in rows], packed), torch.no_grad():
            return pool_packed((ready.last_state_of(packed),), packed, "mean")

    together, apart = vectors([0, 1, 2, 3]), torch.cat([vectors([0, 1]), vectors([2, 3])])
    assert torch.allclose(together, apart, atol=1e-6) == (name not in BY_TORCH)


def test_the_trial_of_training_leaves_weights_gradients_and_draws_alone(tmp_path: Path) -> None:
    backbone = load_backbone(str(tiny_bert(tmp_path / "bert")))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    drawn = torch.random.get_rng_state()
    ready = backbone.for_training()
    assert ready.training
    assert torch.equal(drawn, torch.random.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert all(each.grad is None for each in backbone.parameters())


def test_the_fast_linear_layer_has_torchs_gradients_in_a_model_that_changes_its_output_in_place(tmp_path: Path) -> None:
    backbone = load_backbone(str(made(tmp_path / "model", "longformer", attention_window=8)))
    ids, mask = backbone.tokenize(SENTENCES[:3]).batch([0, 1, 2])
    weights = dict(backbone.model.named_parameters())
    ready = backbone.for_training().eval()
    ready.last_state(ids, mask)[:, 0].square().sum().backward()
    found = {name: each.grad.clone() for name, each in weights.items() if each.grad is not None}
    backbone.zero_grad()
    backbone.last_state(ids, mask)[:, 0].square().sum().backward()
    assert found
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, weights[name].grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_mlsg_would_run_with_other_numbers_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    settings, said = REFUSED[kind]
    folder = made(tmp_path / "model", kind, **settings)
    with pytest.raises(ModelError, match=said) as caught:
        load_backbone(str(folder))
    assert kind in caught.value.problem


def test_a_perceiver_is_refused_by_name(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "model")
    AutoModel.from_config(AutoConfig.for_model("perceiver", num_latents=4, d_latents=16)).save_pretrained(folder)
    with pytest.raises(ModelError, match="is a perceiver model"):
        load_backbone(str(folder))


@pytest.mark.parametrize("train", [True, False])
def test_what_fails_in_a_trial_is_refused_by_name(train: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_bert(tmp_path / "mine")
    if train:
        backbone = load_backbone(str(folder))

    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("no kernel")

    monkeypatch.setattr("transformers.BertModel.forward", broken)
    if train:
        backbone.packs = False
        with pytest.raises(ModelError, match=r"mine \(bert\) cannot be trained \(RuntimeError: no kernel\)"):
            backbone.for_training()
    else:
        with pytest.raises(ModelError, match=r"mine \(bert\) cannot be run \(RuntimeError: no kernel\)"):
            load_backbone(str(folder))


@pytest.mark.parametrize(("positions", "padding"), [(66, 1), (66, 0), (20, 1)])
def test_positions_of_ibert_begin_after_the_padding_id(positions: int, padding: int, tmp_path: Path) -> None:
    folder = made(tmp_path / "model", "ibert", max_position_embeddings=positions, pad_token_id=padding)
    backbone = load_backbone(str(folder))
    assert backbone.max_length == positions - padding - 1
    tokens = backbone.tokenize(["word after word " * 60])
    assert tokens.lengths.tolist() == [backbone.max_length]
    backbone.last_state(*tokens.batch([0]))


def test_a_copied_base_has_the_same_vectors_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "bert")
    other = load_backbone(str(shutil.copytree(folder, tmp_path / "gpt2-roberta-llama")))
    batch = other.tokenize(SENTENCES).batch(range(5))
    with torch.no_grad():
        assert torch.equal(other.last_state(*batch), load_backbone(str(folder)).last_state(*batch))


def test_a_config_without_a_kind_is_refused_whatever_its_folder_is_called(tmp_path: Path) -> None:
    path = tiny_bert(tmp_path / "bert-base") / "config.json"
    config = json.loads(path.read_text())
    del config["model_type"]
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="not a configuration"):
        load_backbone(str(path.parent))
