"""What a base shows of itself, and how it is copied and cut."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForPreTraining, BertModel

from mlsg.errors import ModelError, SettingError
from mlsg.model.backbone import Backbone, load_backbone
from tests.tiny_models import SENTENCES, tiny_bert, tiny_xlmr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("base") / "bert", layers=3, pretraining_head=True)


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Backbone:
    return load_backbone(str(folder))


def _batch(backbone: Backbone) -> tuple[torch.Tensor, torch.Tensor]:
    return backbone.tokenize(SENTENCES).batch(range(len(SENTENCES)))


def test_hidden_states_are_the_embeddings_and_every_layer(backbone: Backbone, folder: Path) -> None:
    ids, mask = _batch(backbone)
    with torch.no_grad():
        states = backbone.hidden_states(ids, mask)
        model = BertForPreTraining.from_pretrained(folder).eval()
        expected = [model.bert.embeddings(ids)]
        for layer in model.bert.encoder.layer:
            blocked = (1.0 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            output = layer(expected[-1], blocked)
            expected.append(output[0] if isinstance(output, tuple) else output)
    assert len(states) == backbone.layers + 1 == 4
    for found, wanted in zip(states, expected, strict=True):
        torch.testing.assert_close(found[mask == 1], wanted[mask == 1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(backbone.last_state(ids, mask), states[-1])


def test_a_pretraining_checkpoint_loads_without_head_and_pooler_and_without_a_word(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    backbone = load_backbone(str(folder))
    backbone.tokenize(["long " * 500])
    assert capfd.readouterr() == ("", "")
    assert isinstance(backbone.model, BertModel)
    assert not [name for name, _ in backbone.named_parameters() if "pooler" in name or "cls." in name]
    assert not backbone.training


def test_loading_leaves_the_random_state_alone(folder: Path) -> None:
    before = torch.random.get_rng_state()
    load_backbone(str(folder)).truncated(1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_half_precision_weights_are_widened(shared: Path) -> None:
    folder = shared / "models" / "mini"
    backbone = load_backbone(str(folder))
    assert {p.dtype for p in backbone.parameters()} == {torch.float32}
    stored = load_file(folder / "model.safetensors")["bert.encoder.layer.0.output.dense.weight"]
    assert stored.dtype == torch.float16
    assert torch.equal(backbone.model.encoder.layer[0].output.dense.weight, stored.float())
    assert (backbone.layers, backbone.dimension, backbone.max_length) == (6, 256, 256)


def test_max_length_is_the_least_of_tokenizer_positions_and_setting(tmp_path: Path, folder: Path) -> None:
    assert load_backbone(str(folder)).max_length == 64
    assert load_backbone(str(folder), max_length=20).max_length == 20
    assert load_backbone(str(folder), max_length=512).max_length == 64
    xlmr = tiny_xlmr(tmp_path / "xlmr", positions=40)  # the padding offset takes two
    settings = (xlmr / "tokenizer_config.json").read_text()
    (xlmr / "tokenizer_config.json").write_text(settings.replace('"model_max_length": 38', '"model_max_length": 512'))
    loaded = load_backbone(str(xlmr))
    assert loaded.max_length == 38
    loaded.hidden_states(*loaded.tokenize(["The cat sleeps. " * 50]).batch([0]))


def test_a_length_too_short_for_a_word_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="takes 2 tokens"):
        load_backbone(str(folder), max_length=2)


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_a_truncated_model_ends_where_the_whole_one_passes(backbone: Backbone, layers: int) -> None:
    ids, mask = _batch(backbone)
    short = backbone.truncated(layers)
    assert short.layers == layers
    assert torch.equal(short.last_state(ids, mask), backbone.hidden_states(ids, mask)[layers])
    assert len(short.hidden_states(ids, mask)) == layers + 1
    assert backbone.layers == 3
    assert len(backbone.model.encoder.layer) == 3


def test_a_layer_that_is_not_there_is_refused(backbone: Backbone) -> None:
    with pytest.raises(SettingError, match="layers 0 to 3"):
        backbone.truncated(4)


def test_a_frozen_copy_does_not_move_with_the_original(folder: Path) -> None:
    backbone = load_backbone(str(folder))
    ids, mask = _batch(backbone)
    guide = backbone.train().copy_frozen()
    before = guide.last_state(ids, mask)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.mul_(2)
    assert torch.equal(before, guide.last_state(ids, mask))
    assert not guide.training
    assert backbone.training
    assert not any(parameter.requires_grad for parameter in guide.parameters())
    assert all(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize("ready", ["for_inference", "for_measuring"])
def test_what_is_ready_makes_nothing_new_at_a_later_call(backbone: Backbone, ready: str) -> None:
    made = getattr(backbone, ready)("bf16")

    def of_modules() -> list[tuple[object, ...]]:
        linear = [id(each.__dict__.get("_weight")) for each in made.modules()]
        return [*zip(linear, (len(each._forward_hooks) for each in made.modules()), strict=True)]

    before = of_modules()
    assert any(weight != id(None) for weight, _ in before)
    made.hidden_states(*_batch(made))
    assert of_modules() == before


def test_embedding_parameters_are_words_positions_types_and_layernorm(backbone: Backbone) -> None:
    names = {id(p): name for name, p in backbone.model.named_parameters()}
    assert sorted(names[id(p)] for p in backbone.embedding_parameters()) == [
        "embeddings.LayerNorm.bias",
        "embeddings.LayerNorm.weight",
        "embeddings.position_embeddings.weight",
        "embeddings.token_type_embeddings.weight",
        "embeddings.word_embeddings.weight",
    ]


def test_importing_the_package_imports_no_torch() -> None:
    code = (
        "import sys, mlsg.model, mlsg.model.source, mlsg.model.folder\n"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
