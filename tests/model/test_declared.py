"""What a folder declares is what its encoder does: folders written by hand, beside sentence-transformers."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.base.modules.transformer import Transformer as TheirTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sentence_transformer.modules.pooling import _LEGACY_POOLING_MODE_KWARGS

from mlsg.errors import ModelError, SettingError
from mlsg.model.encoder import Encoder
from mlsg.model.folder_keys import DENSE, LEGACY_MODES, MODES, NORMALIZE, POOLING, TRANSFORMER
from tests.model.folders import write, written_folder
from tests.model.texts import TEXTS
from tests.tiny_models import tiny_bert, tiny_xlmr

_ACTIVATIONS = ("linear.Identity", "activation.Tanh", "activation.ReLU", "activation.GELU")
_PROMPTS = ("query: ", "the cat ", "th", "🙂", "sleeps " * 80, "Represent: the ", " ", "e")
_SHORT = [text[:200] for text in TEXTS] + ["e", "the cat", "sleeps", "The cat sleeps on the warm roof " * 3]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("base") / "bert")


@pytest.fixture(scope="module")
def xlmr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_xlmr(tmp_path_factory.mktemp("base") / "xlmr")


def _assert_same(folder: Path, **how: Any) -> Encoder:
    theirs = SentenceTransformer(str(folder), device="cpu")
    encoder = Encoder.from_pretrained(folder, device="cpu")
    for texts in (_SHORT, _SHORT[0]):
        np.testing.assert_allclose(encoder.encode(texts, **how), theirs.encode(texts, **how), atol=1e-5, rtol=1e-5)
    assert encoder.dimension == theirs.get_embedding_dimension()
    assert encoder.max_length == theirs.max_seq_length
    return encoder


def _assert_kept(encoder: Encoder, folder: Path, **how: Any) -> None:
    """What was read is written again, for both."""
    encoder.save_pretrained(folder)
    again = _assert_same(folder, **how)
    np.testing.assert_allclose(again.encode(_SHORT, **how), encoder.encode(_SHORT, **how), atol=1e-6, rtol=1e-5)


@st.composite
def _declarations(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the files of a folder say, and how it is asked."""
    if draw(st.booleans()):
        switches = draw(st.lists(st.booleans(), min_size=6, max_size=6))
        pooling: dict[str, Any] = dict(zip(LEGACY_MODES, switches, strict=True))
        count = max(1, sum(switches))
    else:
        modes = draw(st.one_of(st.sampled_from(MODES), st.lists(st.sampled_from(MODES), min_size=1, max_size=3)))
        pooling, count = {"pooling_mode": modes}, 1 if isinstance(modes, str) else len(modes)
    files: dict[str, Any] = {"pooling": pooling | draw(_maybe("include_prompt", st.booleans())), "width": 32 * count}
    if draw(st.booleans()):
        files["dense"] = {"activation_function": f"torch.nn.modules.{draw(st.sampled_from(_ACTIVATIONS))}"}
    if draw(st.booleans()):
        files["normalize"] = draw(st.sampled_from([{}, {"module_input_name": "sentence_embedding"}]))
    prompts = dict(zip("abc", draw(st.lists(st.sampled_from(_PROMPTS), max_size=3)), strict=False))
    names = st.sampled_from([*prompts, "query", None])
    files["model"] = {"prompts": prompts} | draw(_maybe("default_prompt_name", names))
    files["model"] |= draw(_maybe("truncate_dim", st.one_of(st.none(), st.integers(1, 200))))
    files["transformer"] = draw(_maybe("max_seq_length", st.one_of(st.none(), st.integers(4, 64))))
    files["transformer"] |= draw(_maybe("do_lower_case", st.sampled_from([True, False])))
    how: dict[str, Any] = {"normalize_embeddings": draw(st.booleans())}
    if prompts and draw(st.booleans()):
        how["prompt_name"] = draw(st.sampled_from(list(prompts)))
    elif draw(st.booleans()):
        how["prompt"] = draw(st.sampled_from(["", *_PROMPTS]))
    return files, how


def _maybe(key: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(st.just({}), st.fixed_dictionaries({key: value}))


@pytest.mark.parametrize("kind", ["bert", "xlmr"])
def test_any_declaration_means_what_it_means_to_sentence_transformers(
    kind: str, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(kind)

    @settings(max_examples=6, deadline=None)
    @given(_declarations())
    def same(declared: tuple[dict[str, Any], dict[str, Any]]) -> None:
        files, how = declared
        with tempfile.TemporaryDirectory() as place:
            encoder = _assert_same(written_folder(base, Path(place) / "theirs", **files), **how)
            _assert_kept(encoder, Path(place) / "ours", **how)

    same()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prompt", ["the cat ", "th", "sleeps " * 80])
def test_a_prompt_that_is_not_included_is_attended_to_and_not_pooled(
    bert: Path, tmp_path: Path, mode: str, prompt: str
) -> None:
    pooling = {"pooling_mode": mode, "include_prompt": False}
    model = {"prompts": {"p": prompt}, "default_prompt_name": "p"}
    encoder = _assert_same(written_folder(bert, tmp_path / "model", pooling=pooling, model=model))
    with_prompt = Encoder(encoder.backbone, mode, prompts=encoder.prompts, default_prompt_name="p")
    found = encoder.encode(_SHORT)
    assert np.isfinite(found[:8]).all()
    if mode != "lasttoken":
        assert not np.allclose(found, with_prompt.encode(_SHORT), atol=1e-3)
    assert not np.allclose(found, encoder.encode(_SHORT, prompt=""), atol=1e-3)


def test_packed_and_padded_sentences_agree_on_every_pooling(bert: Path, tmp_path: Path) -> None:
    pooling = {"pooling_mode": list(MODES), "include_prompt": False}
    model = {"prompts": {"p": "the cat "}, "default_prompt_name": "p"}
    encoder = Encoder.from_pretrained(written_folder(bert, tmp_path / "model", pooling=pooling, model=model))
    assert encoder.backbone.packs
    together = encoder.encode(_SHORT, batch_tokens=400)
    apart = np.concatenate([encoder.encode([text]) for text in _SHORT])
    np.testing.assert_allclose(together, apart, atol=1e-5, rtol=1e-5)
    assert together.shape == (len(_SHORT), 32 * 6)


# files and their names


_NAMES = [f"sentence_{kind}_config.json" for kind in ("bert", "roberta", "distilbert", "camembert", "albert")]
_NAMES += ["sentence_xlm-roberta_config.json", "sentence_xlnet_config.json"]


@pytest.mark.parametrize("name", _NAMES)
def test_the_configuration_of_the_transformer_is_found_under_each_name(bert: Path, tmp_path: Path, name: str) -> None:
    said = {"max_seq_length": 9, "do_lower_case": True}
    encoder = _assert_same(written_folder(bert, tmp_path / "m", transformer=said, transformer_name=name))
    assert encoder.max_length == 9
    _assert_kept(encoder, tmp_path / "ours")


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(_NAMES, 2))[::4])
def test_of_two_configurations_the_same_one_counts(bert: Path, tmp_path: Path, first: str, second: str) -> None:
    folder = written_folder(bert, tmp_path / "m", transformer={"max_seq_length": 9}, transformer_name=second)
    write(folder / first, {"max_seq_length": 8})
    assert Encoder.from_pretrained(folder).max_length == SentenceTransformer(str(folder)).max_seq_length == 8
    write(folder / first, {})
    assert Encoder.from_pretrained(folder).max_length == SentenceTransformer(str(folder)).max_seq_length == 9


def test_a_declared_maximum_is_more_than_the_tokenizers_own(bert: Path, tmp_path: Path) -> None:
    folder = written_folder(bert, tmp_path / "m", transformer={"max_seq_length": 50})
    own = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (folder / "tokenizer_config.json").unlink()
    write(folder / "tokenizer_config.json", own | {"model_max_length": 12})
    assert _assert_same(folder).max_length == 50
    (folder / "sentence_bert_config.json").unlink()
    assert _assert_same(folder).max_length == 12


_NOTHING: dict[str, Any] = {
    "transformer": {
        "max_seq_length": None, "do_lower_case": None, "tokenizer_args": {}, "model_args": {}, "config_args": {},
        "processing_kwargs": {}, "query_length": None, "document_length": None, "query_expansion": None,
        "tokenizer_name_or_path": None, "unpad_inputs": None,
    },
    "pooling": {"include_prompt": True, "pooling_mode_cls_token": None},
    "model": {
        "prompts": {}, "default_prompt_name": None, "similarity_fn_name": None, "truncate_dim": None,
        "requirements": {},
    },
    "normalize": {"module_input_name": "sentence_embedding", "module_output_name": None},
    "dense": {"module_output_name": None, "use_residual": False},
}  # fmt: skip


@pytest.mark.parametrize("file", _NOTHING)
def test_empty_values_mean_nothing(bert: Path, tmp_path: Path, file: str) -> None:
    plain = written_folder(bert, tmp_path / "plain", **{file: {}} if file != "dense" else {"dense": {"bias": True}})
    folder = written_folder(bert, tmp_path / "m", **{file: _NOTHING[file]})
    found = _assert_same(folder).encode(_SHORT)
    assert np.array_equal(found, Encoder.from_pretrained(plain, device="cpu").encode(_SHORT))


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarity_is_the_declared_one_and_is_kept(bert: Path, tmp_path: Path, name: str) -> None:
    folder = written_folder(bert, tmp_path / "m", model={"similarity_fn_name": name})
    encoder, theirs = _assert_same(folder), SentenceTransformer(str(folder), device="cpu")
    left, right = theirs.encode(_SHORT[:4]), theirs.encode(_SHORT[3:9])
    np.testing.assert_allclose(encoder.similarity(left, right), theirs.similarity(left, right), atol=1e-4, rtol=1e-5)
    encoder.save_pretrained(tmp_path / "ours")
    assert SentenceTransformer(str(tmp_path / "ours"), device="cpu").similarity_fn_name == name
    assert Encoder.from_pretrained(tmp_path / "ours").similarity_fn_name == name


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("function", ["torch.nn.ReLU", "torch.nn.modules.GELU", "torch.nn.modules.linear.Identity"])
def test_dense_weights_of_another_precision_are_read(
    bert: Path, tmp_path: Path, kind: torch.dtype, function: str
) -> None:
    folder = written_folder(bert, tmp_path / "m", dense={"activation_function": function})
    path = folder / "2_Dense/model.safetensors"
    save_file({name: tensor.to(kind) for name, tensor in load_file(path).items()}, path)
    _assert_same(folder)


def test_a_pooling_of_folders_alone_is_not_one_to_choose(bert: Path) -> None:
    with pytest.raises(SettingError, match="unknown pooling"):
        Encoder.from_pretrained(bert, pooling="lasttoken")
    with pytest.raises(SettingError, match="unknown pooling"):
        Encoder(Encoder.from_pretrained(bert, pooling="cls").backbone, "cls+first_last")


# the list is closed, and as long as sentence-transformers' own


def test_every_key_that_sentence_transformers_writes_is_known() -> None:
    assert set(TheirTransformer.config_keys) <= set(TRANSFORMER)
    assert set(Pooling.config_keys) | set(Pooling.config_key_renames) <= set(POOLING)
    assert set(Dense.config_keys) <= set(DENSE)
    assert set(Normalize.config_keys) == set(NORMALIZE)
    assert dict(LEGACY_MODES) == _LEGACY_POOLING_MODE_KWARGS
    assert list(LEGACY_MODES.values()) == list(MODES) == list(Pooling.POOLING_MODES)


@pytest.fixture(scope="module")
def whole(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file that a folder may have, saved by sentence-transformers itself."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    modules = [Transformer(str(bert)), Pooling(32, "mean"), Dense(32, 16), Normalize()]
    SentenceTransformer(modules=modules, device="cpu", truncate_dim=7, prompts={"a": "b"}).save(str(folder))
    return folder


_FILES = (
    *("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"),
    *("1_Pooling/config.json", "2_Dense/config.json", "3_Normalize/config.json"),
)


@pytest.fixture
def changed(whole: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "changed"
    folder.mkdir()
    for path in whole.rglob("*"):
        place = folder / path.relative_to(whole)
        place.mkdir() if path.is_dir() else place.symlink_to(path)
    for name in _FILES:
        text = (folder / name).read_text("utf-8")
        (folder / name).unlink()
        (folder / name).write_text(text, "utf-8")
    yield folder


def _refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Encoder.from_pretrained(folder, device="cpu")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_folder_with_every_file_is_read(whole: Path, changed: Path) -> None:
    assert _assert_same(whole).dimension == 7
    assert _assert_same(changed).dimension == 7


@pytest.mark.parametrize("name", _FILES)
def test_an_unknown_key_of_any_file_is_refused_by_name(changed: Path, name: str) -> None:
    table = json.loads((changed / name).read_text("utf-8"))
    keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9), st.lists(st.integers()))

    @settings(max_examples=8, deadline=None)
    @given(keys, values)
    def refused(key: str, value: object) -> None:
        entry = table[0] if isinstance(table, list) else table
        if key in entry:
            return
        added = [{**entry, key: value}, *table[1:]] if isinstance(table, list) else {**entry, key: value}
        write(changed / name, added)
        said = _refusal(changed)
        assert name.rpartition("/")[2] in said
        assert "mlsg does not have" in said
        assert (key if key.isidentifier() else repr(key)[:5]) in said

    refused()


_ODD = [[], {}, [[]], 0, 1.5, True, "\u001b[31m", None, 10**30, {"a": {"b": []}}, [1, None], "\ud800"]


@pytest.mark.parametrize("name", _FILES)
def test_odd_values_are_right_or_refused_in_one_line(changed: Path, name: str) -> None:
    """What is not refused gives what sentence-transformers gives, or what it cannot read."""
    text = (changed / name).read_text("utf-8")
    table = json.loads(text)
    entry = table[0] if isinstance(table, list) else table
    plain = Encoder.from_pretrained(changed, device="cpu").encode(["The cat"])
    for key, value in itertools.product(entry, _ODD):
        other = {**entry, key: value}
        write(changed / name, [other, *table[1:]] if isinstance(table, list) else other)
        try:
            found = Encoder.from_pretrained(changed, device="cpu").encode(["The cat"])
        except ModelError as error:
            assert str(error).isprintable()
            continue
        try:
            theirs = SentenceTransformer(str(changed), device="cpu").encode(["The cat"])
        except Exception:
            assert np.array_equal(found, plain), (key, value)
        else:
            np.testing.assert_allclose(found, theirs, atol=1e-5, err_msg=f"{key} {value}")


@pytest.mark.parametrize("name", _FILES)
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"3", b'"x"', b"null", b"\xff\xfe{", b'{"a": NaN}', b'[{"a": "\\ud800"}]', b"[" * 100_000),
        *(b'{"a":' * 50_000, b"9" * 6000, b"[[1]]", b" " * (2**24 + 1)),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_damaged_file_is_one_line(changed: Path, name: str, content: bytes) -> None:
    (changed / name).write_bytes(content)
    assert name.rpartition("/")[2] in _refusal(changed)


@pytest.mark.parametrize("path", ["..", "../1_Pooling", "/etc", "1_Pooling/../..", "C:\\x", "a\0b", "out", "x" * 5000])
def test_a_module_outside_of_the_folder_is_refused(changed: Path, path: str) -> None:
    (changed / "out").symlink_to(changed.parent)
    table = json.loads((changed / "modules.json").read_text("utf-8"))
    table[1]["path"] = path
    write(changed / "modules.json", table)
    assert ("outside of the model" if path.isprintable() else "does not have path") in _refusal(changed)


def test_two_modules_of_one_name_are_refused(changed: Path) -> None:
    table = json.loads((changed / "modules.json").read_text("utf-8"))
    table[2]["name"] = table[1]["name"]
    write(changed / "modules.json", table)
    assert "two modules of one name" in _refusal(changed)


# the samples that once went wrong


def _mini(shared: Path, folder: Path, **files: Any) -> Path:
    made = written_folder(shared / "models" / "mini", folder, **files)
    write(made / "1_Pooling/config.json", files.get("pooling", {}) | {"embedding_dimension": 256})
    return made


_TASK = "Represent the meaning of this sentence for semantic similarity: "
_CASES: dict[str, tuple[dict[str, Any], float]] = {
    "03": (
        {
            "pooling": {"pooling_mode": "mean", "include_prompt": False},
            "model": {"prompts": {"sts": _TASK}, "default_prompt_name": "sts"},
        },
        63.2,
    ),
    "04": (
        {
            "transformer": {"max_seq_length": 8, "do_lower_case": True},
            "transformer_name": "sentence_xlm-roberta_config.json",
        },
        46.1,
    ),
    "05": ({"model": {"truncate_dim": 16}}, 45.6),
    "plain": ({}, 59.1),
}


@pytest.mark.parametrize("case", _CASES)
def test_the_samples_have_the_right_score(shared: Path, tmp_path: Path, case: str) -> None:
    files, right = _CASES[case]
    place = shared / "data/STS2017"
    lines = (place / "STS2017.eval.v1.1/STS.input.track3.es-es.txt").read_text("utf-8").rstrip("\n").split("\n")
    gold = [float(line) for line in (place / "STS2017.gs/STS.gs.track3.es-es.txt").read_text("utf-8").split()]
    pairs = [line.split("\t")[:2] for line in lines]
    encoder = Encoder.from_pretrained(_mini(shared, tmp_path / "model", **files), device="cpu")
    one, two = (encoder.encode([pair[side] for pair in pairs]).astype(np.float64) for side in (0, 1))
    cosines = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    noise = 0.2 if case == "04" else 0.051  # of 8 tokens 24 pairs are equal, and rounding decides their ranks
    assert 100 * spearmanr(cosines, gold)[0] == pytest.approx(right, abs=noise)
