"""The tokenizer of tokenizer.json is what runs, whatever transformers builds; one that does not fit is refused."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from mlsg.errors import ModelError
from mlsg.model.backbone import Backbone, load_backbone
from mlsg.model.encoder import Encoder
from tests.model.texts import TEXTS
from tests.tiny_models import SENTENCES, tiny_bert, tiny_xlmr

STRANGE = [
    *TEXTS,
    "ÉCOLE école Ångström Über",
    "İstanbul IĞDIR ılık",
    "U\u0308ber n\u0303 \ufb01ne \u0645\u06cc\u200c\u062e",
    "\u6f22\u5b57\u304b\u306a \uff76\uff85 \ud55c\uad6d \u1112\u1161\u11ab",
    "a\u200bb c\u00a0d \u00ad",
]
letters = st.text(
    st.sampled_from("aAéÉ\u0301iİıI\u0307ﬁﬂ猫\u4e2d\uff76\u1112\u1161\u11ab \u200b\u200c\u200d🙂.'#ß"), max_size=30
)


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _ids_of_file(folder: Path, texts: list[str], most: int) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    return [each.ids for each in tokenizer.encode_batch(texts)]


def _as(folder: Path, kind: str, **changes: Any) -> Path:
    """Another architecture's random weights under the same tokenizer files, without the file that names its class."""
    old = json.loads((folder / "config.json").read_text())
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    if kind == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    known = {name: old[name] for name in ("vocab_size", "pad_token_id", "max_position_embeddings")}
    config = AutoConfig.for_model(kind, **{**known, **sizes, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    (folder / "tokenizer_config.json").unlink()
    return folder


def _bpe(folder: Path, **names: str) -> None:
    """A byte-level BPE tokenizer with the special tokens of BERT, or of RoBERTa, as tokenizer.json."""
    specials = list(dict.fromkeys(names.values()))
    tokenizer = Tokenizer(models.BPE(unk_token=names["unk_token"]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=350, special_tokens=specials, initial_alphabet=alphabet, show_progress=False),
    )
    ends = [(names[name], tokenizer.token_to_id(names[name])) for name in ("sep_token", "cls_token")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    tokenizer.save(str(folder / "tokenizer.json"))


BERT_NAMES = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def _cased_bert(folder: Path) -> Path:
    (tiny_bert(folder) / "tokenizer_config.json").unlink()
    return folder


def _bert_with_bpe(folder: Path) -> Path:
    _bpe(tiny_bert(folder), **BERT_NAMES)
    (folder / "tokenizer_config.json").unlink()
    return folder


def _bert_with_unigram(folder: Path) -> Path:
    xlmr = tiny_xlmr(folder.with_name("for its tokenizer"))
    rows = json.loads((xlmr / "config.json").read_text())["vocab_size"]
    return _as(shutil.copytree(xlmr, folder), "bert", vocab_size=rows, max_position_embeddings=64)


def _xlmr_with_another_normaliser(folder: Path) -> Path:
    path = tiny_xlmr(folder) / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.StripAccents()]
    )
    tokenizer.save(str(path))
    return folder


_KINDS: dict[str, Callable[[Path], Path]] = {
    "bert": _cased_bert,
    "distilbert": lambda f: _as(tiny_bert(f), "distilbert"),
    "electra": lambda f: _as(tiny_bert(f), "electra"),
    "mpnet": lambda f: _as(tiny_bert(f), "mpnet", max_position_embeddings=66),
    "albert": lambda f: _as(tiny_bert(f), "albert"),
    "roberta with wordpiece": lambda f: _as(tiny_bert(f), "roberta", max_position_embeddings=66),
    "xlm-r with wordpiece": lambda f: _as(tiny_bert(f), "xlm-roberta", max_position_embeddings=66),
    "bert with bpe": _bert_with_bpe,
    "bert with unigram": _bert_with_unigram,
    "xlm-r with another normaliser": _xlmr_with_another_normaliser,
}


@pytest.fixture(scope="module", params=_KINDS)
def differing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Backbone]:
    """A folder whose tokenizer.json is not what transformers makes of it."""
    folder = _KINDS[request.param](tmp_path_factory.mktemp("model") / "model")
    return folder, load_backbone(str(folder))


def test_the_ids_are_those_of_the_file_and_not_what_transformers_makes_of_it(differing: tuple[Path, Backbone]) -> None:
    folder, backbone = differing
    tokens = backbone.tokenize(STRANGE)
    found = [tokens.ids(row).tolist() for row in range(len(STRANGE))]
    assert found == _ids_of_file(folder, STRANGE, backbone.max_length)
    theirs = None
    with contextlib.suppress(Exception):  # some it cannot even build
        made = AutoTokenizer.from_pretrained(folder)
        theirs = [made(text, truncation=True, max_length=backbone.max_length)["input_ids"] for text in STRANGE]
    assert theirs != found


@given(text=letters)
@settings(max_examples=50, deadline=None)
def test_the_ids_of_any_text_are_those_of_the_file(differing: tuple[Path, Backbone], text: str) -> None:
    folder, backbone = differing
    assert backbone.tokenize([text]).ids(0).tolist() == _ids_of_file(folder, [text], backbone.max_length)[0]


def test_that_the_file_is_used_is_said_once_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = _cased_bert(tmp_path / "bert")
    capfd.readouterr()
    load_backbone(str(folder))
    said = capfd.readouterr()
    assert said.out == ""
    told = "bert: tokenised as its tokenizer.json says, which transformers reads otherwise, as a BertTokenizer"
    assert said.err.splitlines() == [told]


def test_padding_and_unknown_words_are_those_of_the_file(differing: tuple[Path, Backbone]) -> None:
    folder, backbone = differing
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert backbone.tokenizer.pad_token_id in {own.token_to_id("[PAD]"), own.token_to_id("<pad>")}
    assert backbone.tokenizer.unk_token_id in {own.token_to_id("[UNK]"), own.token_to_id("<unk>")}


def test_a_saved_encoder_keeps_the_tokenizer_of_the_file(differing: tuple[Path, Backbone], tmp_path: Path) -> None:
    folder, backbone = differing
    Encoder(backbone, "mean").save_pretrained(tmp_path / "saved")
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    most = backbone.max_length
    expected = _ids_of_file(folder, STRANGE, most)
    found = [theirs.tokenizer(text, truncation=True, max_length=most)["input_ids"] for text in STRANGE]
    assert found == expected
    np.testing.assert_allclose(
        Encoder.from_pretrained(tmp_path / "saved", device="cpu").encode(STRANGE), theirs.encode(STRANGE), atol=1e-5
    )


def test_the_right_value_of_a_cased_model_without_its_tokenizer_settings(shared: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(shared / "models" / "mini", tmp_path / "mini")
    (folder / "tokenizer_config.json").unlink()
    texts = [line.split("\t")[0] for line in (shared / "cases/07-xz-padding/es.tsv").read_text("utf-8").splitlines()]
    texts += [text.upper() for text in texts[:20]]
    tokens = load_backbone(str(folder)).tokenize(texts)
    assert [tokens.ids(row).tolist() for row in range(len(texts))] == _ids_of_file(folder, texts, 256)


# said


def test_a_cased_vocabulary_that_is_lower_cased_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tiny_bert(tmp_path / "bert")
    path = folder / "tokenizer.json"
    text = json.loads(path.read_text())
    text["normalizer"]["lowercase"] = True
    words = {
        word: 352 + number
        for number, word in enumerate(["The", "Two", "Grey", "Train", "Library", "Bakery", "Paris", "Moscow"])
    }
    text["model"]["vocab"] |= words | {word.lower(): number + len(words) for word, number in words.items()}
    path.write_text(json.dumps(text))
    _edit(folder / "config.json", vocab_size=400)
    _resize(folder, 400)
    capfd.readouterr()
    load_backbone(str(folder))
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "bert: lower-cased, but" in said
    assert "have capitals" in said


@pytest.mark.parametrize("lower_case", [True, False])
def test_nothing_is_said_of_a_tokenizer_that_fits(
    lower_case: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_bert(tmp_path / "bert", lower_case=lower_case)
    capfd.readouterr()
    load_backbone(str(folder))
    assert capfd.readouterr().err == ""


# refused


def _resize(folder: Path, rows: int) -> None:
    model = AutoModel.from_pretrained(folder, ignore_mismatched_sizes=True)
    model.save_pretrained(folder)


def _change_tokenizer(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "tokenizer.json"
    text = json.loads(path.read_text())
    change(text)
    path.write_text(json.dumps(text))


def _far_id(folder: Path) -> None:
    def change(text: dict[str, Any]) -> None:
        text["model"]["vocab"]["sle"] = 5000

    _change_tokenizer(folder, change)


def _far_added_id(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken("zzz")])
    tokenizer.save(str(folder / "tokenizer.json"))


def _only(folder: Path, **files: str) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)


def _other_kind(folder: Path, kind: str) -> None:
    _as(folder, kind, max_position_embeddings=66)


def _words(folder: Path, before: str = "") -> list[str]:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return [before + word if word.isalpha() else word for word in sorted(vocabulary, key=vocabulary.get)]


def _roberta_without_merges(folder: Path) -> None:
    _bpe(folder, **{**BERT_NAMES, "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"})
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    _other_kind(folder, "roberta")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))


def _roberta_with_vocab_txt(folder: Path) -> None:
    words = _words(folder)
    _other_kind(folder, "roberta")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(words))


def _post_processor(folder: Path, **changes: object) -> None:
    _change_tokenizer(folder, lambda text: text.update(post_processor=changes))


_REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "an id beyond the rows": (_far_id, "its last id is 5000"),
    "an added token beyond the rows": (_far_added_id, "353 tokens, its model 352"),
    "a bert with vocab.json": (lambda f: _only(f, vocab_json="{}"), "has no vocabulary: 5 special tokens"),
    "any file that ends in .model": (lambda f: _only(f, any_model="x"), "cannot be read"),
    "a roberta with vocab.txt": (_roberta_with_vocab_txt, "has no vocabulary"),
    "a bpe without merges": (_roberta_without_merges, "cannot be read"),
    "a bpe vocabulary read as wordpiece": (
        lambda f: _only(f, vocab_txt="\n".join(_words(f, "Ġ"))),
        "is one of BPE or SentencePiece",
    ),
    "no special tokens": (lambda f: _change_tokenizer(f, lambda t: t.update(post_processor=None)), "no special token"),
    "token types": (
        lambda f: (
            _change_tokenizer(f, lambda t: t.update(post_processor=_typed(1))),
            _edit(f / "tokenizer_config.json", model_input_names=["input_ids", "token_type_ids", "attention_mask"]),
        ),
        "token types other than 0",
    ),
    "a post-processor of ids that are not there": (
        lambda f: _post_processor(f, type="BertProcessing", sep=["[SEP]", 10**6], cls=["[CLS]", 2]),
        "its last id is 1000000",
    ),
    "a post-processor without its tokens": (
        lambda f: _change_tokenizer(f, lambda t: t.update(post_processor={**_typed(0), "special_tokens": {}})),
        "PanicException",
    ),
    "an unknown token that is not there": (
        lambda f: _change_tokenizer(f, lambda t: t["model"].update(unk_token="[NOTHING]")),
        "fails",
    ),
    "a vocabulary that is a list": (
        lambda f: _change_tokenizer(f, lambda t: t["model"].update(vocab=[1])),
        "tokenizer",
    ),
    "a model of no kind": (lambda f: _change_tokenizer(f, lambda t: t.update(model=None)), "tokenizer"),
    "a class that does not exist": (
        lambda f: (
            _edit(f / "tokenizer_config.json", tokenizer_class="MecabTokenizer"),
            (f / "tokenizer.json").unlink(),
        ),
        "no tokenizer",
    ),
}


def _typed(kind: int) -> dict[str, Any]:
    """A post-processor that puts [CLS] and [SEP] around a text and says that it is of some type."""
    special = {
        token: {"id": token, "ids": [number], "tokens": [token]} for token, number in (("[CLS]", 2), ("[SEP]", 3))
    }
    pieces = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": kind}},
        {"SpecialToken": {"id": "[SEP]", "type_id": kind}},
    ]
    return {"type": "TemplateProcessing", "single": pieces, "pair": pieces, "special_tokens": special}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("base") / "bert")


@pytest.mark.parametrize("what", _REFUSED)
def test_a_tokenizer_that_does_not_fit_is_refused_in_one_line(
    what: str, good: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(good, tmp_path / "broken")
    change, said = _REFUSED[what]
    change(folder)
    capfd.readouterr()
    with pytest.raises(ModelError) as caught:
        load_backbone(str(folder))
    assert said in caught.value.problem
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert capfd.readouterr() == ("", "")


# special tokens inside a text

pieces = st.lists(
    st.sampled_from(["<pad>", "<mask>", "</s>", "<s>", "<unk>", "a", "the cat", " ", "猫", "[SEP]", "[PAD]"]),
    max_size=8,
)


@pytest.fixture(scope="module", params=["bert", "xlmr"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Encoder, SentenceTransformer]:
    make = tiny_bert if request.param == "bert" else tiny_xlmr
    folder = tmp_path_factory.mktemp("model") / "model"
    encoder = Encoder.from_pretrained(make(folder), pooling="mean", device="cpu")
    encoder.save_pretrained(folder.with_name("saved"))
    return encoder, SentenceTransformer(str(folder.with_name("saved")), device="cpu")


@given(texts=st.lists(pieces.map(" ".join), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_special_tokens_inside_a_text_give_what_sentence_transformers_gives(
    both: tuple[Encoder, SentenceTransformer], texts: list[str]
) -> None:
    encoder, theirs = both
    assert encoder.backbone.packs
    np.testing.assert_allclose(encoder.encode(texts), theirs.encode(texts), atol=1e-5)


def test_padding_inside_a_text_counts_for_no_position_under_xlmr(tmp_path: Path) -> None:
    backbone = load_backbone(str(tiny_xlmr(tmp_path / "xlmr")))
    texts = ["the <pad> cat <pad><pad> sleeps", "a", "<pad>", "The ferry leaves the island"]
    from mlsg.model.fast.packing import pack

    packed = pack(backbone.tokenize(texts), range(4))
    assert packed.unpadded is not None
    first = backbone.model.embeddings.padding_idx + 1
    for sentence in range(4):
        own = packed.owners == sentence
        ids = packed.ids[own][None]
        expected = backbone.model.embeddings.create_position_ids_from_input_ids(ids, first - 1)
        assert (packed.unpadded[own] + first).tolist() == expected[0].tolist()
    assert pack(backbone.tokenize(texts[1:2]), [0]).unpadded is None


def test_a_tokenizer_that_pads_with_another_id_than_the_model_is_not_packed(tmp_path: Path) -> None:
    folder = tiny_xlmr(tmp_path / "xlmr")
    assert load_backbone(str(folder)).packs
    _edit(folder / "tokenizer_config.json", pad_token="<unk>")
    backbone = load_backbone(str(folder))
    assert isinstance(backbone.tokenizer, PreTrainedTokenizerFast)
    assert not backbone.packs
