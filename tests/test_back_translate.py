"""Back-translation by two tiny MarianMT models: what is written, killed and gone on, and what is refused."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
import sentencepiece
from transformers import MarianConfig, MarianMTModel, MarianTokenizer, set_seed

from mlsg import back_translate
from mlsg.api import load_recipe, run_prepare
from mlsg.cache.artefact import Artefact
from mlsg.cache.files import readable_json
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import load_catalog
from mlsg.errors import ModelError, SettingError
from mlsg.prepare import sentences_file
from tests.contexts import context_of
from tests.tiny_models import SENTENCES, tiny_bert

LINES = [f"{a} {b}" for a, b in itertools.pairwise(SENTENCES)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two models that translate into nonsense, but always into the same."""
    folder = tmp_path_factory.mktemp("marian")
    text = folder / "text.txt"
    text.write_text("\n".join(LINES), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "spm"), vocab_size=220, hard_vocab_limit=False, minloglevel=2
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    words = ["</s>", "<unk>", *(pieces.id_to_piece(n) for n in range(3, pieces.get_piece_size())), "<pad>"]
    (folder / "vocab.json").write_text(readable_json({word: number for number, word in enumerate(words)}), "utf-8")
    spm = str(folder / "spm.model")
    tokenizer = MarianTokenizer(spm, spm, str(folder / "vocab.json"), source_lang="en", target_lang="de")
    found = []
    for seed in (1, 2):
        set_seed(seed)
        config = MarianConfig(
            vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
            pad_token_id=len(words) - 1, eos_token_id=0, decoder_start_token_id=len(words) - 1, init_std=1.0,
        )  # fmt: skip
        MarianMTModel(config).save_pretrained(folder / str(seed))
        tokenizer.save_pretrained(folder / str(seed))
        found.append(str(folder / str(seed)))
    return found


def prepared(workspace: Workspace, folder: Path, models: list[str]) -> Artefact:
    (folder / "own.txt").write_text("\n".join(LINES) + "\n", "utf-8")
    recipe = load_recipe("back_translation", prepare__back_translate=models, prepare__beams=2)
    return run_prepare(recipe, context_of(workspace, load_catalog()), [folder / "own.txt"])


def test_every_sentence_has_its_back_translation(workspace: Workspace, models: list[str], tmp_path: Path) -> None:
    found = prepared(workspace, tmp_path, models)
    rows = [line.split("\t") for line in sentences_file(found).read_text("utf-8").splitlines()]
    assert [row[0] for row in rows] == LINES
    assert all(len(row) == 2 and row[1] for row in rows)
    assert len({row[1] for row in rows}) > 1
    assert (found.facts["kind"], found.facts["kept"]) == ("pairs", len(LINES))
    assert prepared(workspace, tmp_path, models).folder == found.folder


def test_killed_it_goes_on_where_it_was(
    workspace: Workspace, models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(back_translate, "_PART", 4)
    whole = sentences_file(prepared(Workspace(tmp_path / "other"), tmp_path, models)).read_bytes()
    made, plain = [], back_translate._translator

    def stopped_after(parts: int) -> None:
        def translator(*given: object) -> back_translate.Translate:
            translate = plain(*given)  # type: ignore[arg-type]

            def counted(texts: object) -> list[str]:
                if len(made) >= 2 * parts:
                    raise KeyboardInterrupt
                made.append(texts)
                return translate(texts)  # type: ignore[arg-type]

            return counted

        monkeypatch.setattr(back_translate, "_translator", translator)

    stopped_after(2)
    with pytest.raises(KeyboardInterrupt):
        prepared(workspace, tmp_path, models)
    made.clear()
    stopped_after(99)
    found = prepared(workspace, tmp_path, models)
    assert len(made) == 2 * (-(-len(LINES) // 4) - 2)
    assert sentences_file(found).read_bytes() == whole


def test_one_model_and_what_does_not_translate_are_refused(
    workspace: Workspace, models: list[str], tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match="names 1 models"):
        prepared(workspace, tmp_path, models[:1])
    bert = str(tiny_bert(tmp_path / "bert"))
    with pytest.raises(ModelError, match="cannot be loaded as a translation model"):
        prepared(workspace, tmp_path, [models[0], bert])
    shutil.copytree(models[0], tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError):
        prepared(workspace, tmp_path, [str(tmp_path / "pickled"), models[1]])
