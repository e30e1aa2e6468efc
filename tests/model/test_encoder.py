"""Encoding: order, repetitions, batches, counts, precision; equality with sentence-transformers is in test_layouts."""

from __future__ import annotations

import random
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from mlsg.errors import DataError, SettingError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.encoder import Encoder, encode_tokens
from mlsg.model.fast.packing import pack
from tests.model.texts import TEXTS
from tests.tiny_models import SENTENCES, tiny_bert, tiny_xlmr


@pytest.fixture(scope="module", params=["bert", "xlmr"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make = tiny_bert if request.param == "bert" else tiny_xlmr
    return make(tmp_path_factory.mktemp("base") / request.param, layers=3)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder.from_pretrained(folder, pooling="mean", device="cpu")


def test_each_vector_is_that_of_the_text_alone(encoder: Encoder) -> None:
    together = encoder.encode(TEXTS, batch_tokens=90)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert together.dtype == np.float32
    assert together.shape == (len(TEXTS), 32)
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first_last"])
def test_order_and_batch_size_do_not_matter(folder: Path, pooling: str) -> None:
    encoder = Encoder.from_pretrained(folder, pooling=pooling, device="cpu")
    shuffled = random.Random(1).sample(range(len(TEXTS)), len(TEXTS))
    expected = encoder.encode(TEXTS)
    found = encoder.encode([TEXTS[n] for n in shuffled], batch_tokens=70)
    np.testing.assert_allclose(found, expected[shuffled], atol=1e-5, rtol=0)


def test_each_distinct_text_is_computed_once(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        "mlsg.model.encoder.pack", lambda *given, **how: seen.append(len(given[1])) or pack(*given, **how)
    )
    found = encoder.encode(["a", "b", "a", "a", "b", ""], batch_tokens=6)
    assert sum(seen) == 3
    assert np.array_equal(found[[0, 1]], found[[2, 4]])
    assert np.array_equal(found[0], found[3])
    assert not np.array_equal(found[0], found[1])


def test_no_texts_are_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, 32)
    assert encoder.counts_of(encoder.tokenize([])).unknown.tolist() == []


def test_one_text_gives_one_vector(encoder: Encoder) -> None:
    found = encoder.encode("The cat", normalize_embeddings=True)
    assert found.shape == (32,)
    assert np.array_equal(found, encoder.encode(["The cat"], normalize_embeddings=True)[0])


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_batches_by_sentences_give_the_same_vectors(
    encoder: Encoder, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, seen = encoder.encode(TEXTS), []
    monkeypatch.setattr(
        "mlsg.model.encoder.pack", lambda *given, **how: seen.append(len(given[1])) or pack(*given, **how)
    )
    np.testing.assert_allclose(encoder.encode(TEXTS, batch_size=size), expected, atol=1e-5, rtol=0)
    assert sorted(set(seen))[-1] == min(size, len(set(TEXTS)))
    with pytest.raises(SettingError, match="batch_size is 0"):
        encoder.encode(TEXTS, batch_size=0)


def test_similarity_is_the_cosine_of_each_pair(encoder: Encoder) -> None:
    left, right = np.random.default_rng(0).normal(size=(2, 3, 5))
    right[2] = 0
    found = encoder.similarity(left, right)
    assert found.dtype == np.float32
    for i in range(3):
        for j in range(2):
            cosine = left[i] @ right[j] / (np.linalg.norm(left[i]) * np.linalg.norm(right[j]))
            assert found[i, j] == pytest.approx(cosine, abs=1e-6)
    assert (found[:, 2] == 0).all()
    assert encoder.similarity(left[0], right).shape == (1, 3)


def test_an_encoder_says_what_it_is_and_where_it_comes_from(folder: Path, encoder: Encoder) -> None:
    assert encoder.source == str(folder)
    assert Encoder(encoder.backbone, "mean").source is None
    assert repr(encoder) == f"Encoder({str(folder)!r}, pooling='mean', layer=3, dimension=32, max_length=64)"
    assert encoder.get_sentence_embedding_dimension() == encoder.dimension == 32


def test_broken_unicode_is_a_data_error(encoder: Encoder) -> None:
    with pytest.raises(DataError, match="surrogate"):
        encoder.encode(["\udc00"])


def test_progress_counts_every_text(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bar:
        done = 0

        def advance(self, units: int = 1, **fields: object) -> None:
            self.done += units

    bar = Bar()
    texts = [*TEXTS, "a", "a"]
    totals = []
    monkeypatch.setattr("mlsg.console.progress", lambda _, total, unit: totals.append(total) or nullcontext(bar))
    encoder.encode(texts, batch_tokens=80)
    assert not totals
    encoder.encode(texts, batch_tokens=80, show_progress_bar=True)
    assert totals == [bar.done] == [len(texts)]


def test_counts_are_those_of_a_plain_tokenisation(encoder: Encoder) -> None:
    counts = encoder.counts_of(encoder.tokenize(TEXTS))
    tokenizer = encoder.backbone.tokenizer
    for row, text in enumerate(TEXTS):
        whole = tokenizer(text, verbose=False)["input_ids"]
        read = tokenizer(text, truncation=True, max_length=64)["input_ids"]
        assert counts.truncated[row] == (len(whole) > 64)
        assert counts.unknown[row] == read.count(tokenizer.unk_token_id)
    assert counts.truncated.sum() == 2
    assert counts.unknown[TEXTS.index("ไม่มีช่องว่าง")] > 0
    assert counts.unknown[0] == 0


def test_bf16_is_close_and_still_gives_float32(folder: Path, encoder: Encoder) -> None:
    rough = Encoder.from_pretrained(folder, pooling="mean", device="cpu", precision="bf16").encode(TEXTS)
    exact = encoder.encode(TEXTS)
    assert rough.dtype == np.float32
    assert not np.array_equal(rough, exact)
    cosines = (rough * exact).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosines.min() > 0.999


def test_many_texts_are_encoded_slab_by_slab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder.from_pretrained(folder, pooling="mean", device="cpu")
    texts = [*TEXTS, *SENTENCES, *TEXTS]
    whole = encoder.encode(texts)
    monkeypatch.setattr("mlsg.model.encoder._SLAB", 3)
    np.testing.assert_allclose(encoder.encode(texts), whole, atol=1e-5, rtol=0)
    with pytest.raises(DataError, match="surrogate"):
        encoder.encode([*texts, "broken \ud83d"])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_settled_vector_has_the_same_bits_whatever_is_beside_it(folder: Path, precision: str) -> None:
    encoder = Encoder.from_pretrained(folder, pooling="mean", device="cpu", precision=precision)
    texts = list(
        dict.fromkeys([*TEXTS, *SENTENCES, *(f"{word} {n}" for word in ["a", "bb", "tren"] for n in range(40))])
    )

    def settled(chosen: list[str]) -> np.ndarray:
        tokens = encoder.tokenize(chosen)
        vectors = np.full((len(chosen), encoder.dimension), np.nan, dtype=np.float32)
        for rows, (found,) in encode_tokens([encoder], tokens, settled=True):
            vectors[rows] = found
        return vectors

    whole = settled(texts)
    np.testing.assert_allclose(whole, encoder.encode(texts), atol=1e-5 if precision == "float32" else 0.05, rtol=0)
    for seed in range(4):
        some = random.Random(seed).sample(range(len(texts)), 7 + 20 * seed)
        assert np.array_equal(settled([texts[n] for n in some]), whole[some])


def test_encoders_of_one_base_share_a_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone(str(folder))
    encoders = [Encoder(backbone, "cls"), Encoder(backbone, "mean"), Encoder(backbone, "first_last")]
    passes = []
    run = Backbone._run

    def count(self: Backbone, *args: object, **how: bool) -> object:
        passes.append(1)
        return run(self, *args, **how)

    monkeypatch.setattr(Backbone, "_run", count)
    encoders[0].ready().packs  # noqa: B018 (the trial runs the base too)
    passes.clear()
    tokens = encoders[0].tokenize(TEXTS)
    found = [np.empty((len(TEXTS), 32)) for _ in encoders]
    for rows, each in encode_tokens(encoders, tokens, batch_tokens=10_000):
        for mine, theirs in zip(found, each, strict=True):
            mine[rows] = theirs
    assert len(passes) == 1
    for encoder, mine in zip(encoders, found, strict=True):
        np.testing.assert_allclose(mine, encoder.encode(TEXTS), atol=1e-6, rtol=0)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_weights_that_training_has_changed_are_used(folder: Path, precision: str) -> None:
    encoder = Encoder(load_backbone(str(folder)), "mean", precision=precision)
    before = encoder.encode(TEXTS)
    with torch.no_grad():
        for parameter in encoder.backbone.model.encoder.parameters():
            parameter.mul_(0.5)
    after = encoder.encode(TEXTS)
    assert not np.allclose(before, after, atol=0.01)
    assert np.array_equal(after, Encoder(encoder.backbone, "mean", precision=precision).encode(TEXTS))


def test_encoding_in_the_midst_of_training_has_no_dropout_and_disturbs_nothing(folder: Path, encoder: Encoder) -> None:
    backbone = load_backbone(str(folder)).train()
    state = torch.random.get_rng_state()
    found = Encoder(backbone, "mean").encode(TEXTS)
    assert np.array_equal(found, encoder.encode(TEXTS))
    assert torch.equal(state, torch.random.get_rng_state())
    assert backbone.training
    ids, mask = backbone.tokenize(TEXTS).batch([0, 1])
    backbone.last_state(ids, mask).sum().backward()
    assert all(p.grad is not None for p in backbone.model.encoder.parameters())


@pytest.mark.parametrize(("layer", "number"), [(None, 3), (-1, 3), (0, 0), (2, 2)])
def test_layers_are_those_of_the_base(folder: Path, layer: int | None, number: int) -> None:
    encoder = Encoder.from_pretrained(folder, pooling="cls", layer=layer, device="cpu")
    assert encoder.layer == number
    with torch.no_grad():
        ids, mask = encoder.tokenize(TEXTS).batch([3])
        expected = encoder.backbone.hidden_states(ids, mask)[number][:, 0]
    np.testing.assert_allclose(encoder.encode([TEXTS[3]]), expected, atol=1e-6)


def test_a_plain_model_needs_a_pooling(folder: Path) -> None:
    with pytest.raises(SettingError, match="give one: cls, mean, max, first_last"):
        Encoder.from_pretrained(folder)
    with pytest.raises(SettingError, match='did you mean "mean"'):
        Encoder.from_pretrained(folder, pooling="men")
    with pytest.raises(SettingError, match="layers 0 to 3"):
        Encoder.from_pretrained(folder, pooling="mean", layer=7)


def test_an_unknown_precision_is_refused(folder: Path) -> None:
    with pytest.raises(SettingError, match="bf16"):
        Encoder.from_pretrained(folder, pooling="mean", precision="bf61")


def test_the_starter_encodes() -> None:
    vectors = Encoder.from_pretrained("starter", pooling="cls", device="cpu").encode(["Ein Satz.", "文。", ""])
    assert vectors.shape == (3, 256)
    assert np.isfinite(vectors).all()
