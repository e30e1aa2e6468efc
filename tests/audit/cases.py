"""The samples of ../shared/cases, end to end through `mlsg.evaluate`: the difference from the right value of each.

Right values are those of the folder's README, which come from sentence-transformers, `tokenizers`, scipy, or by hand.
What is about consoles, links and signals is in the tests (tests/report/test_output.py, test_console.py,
test_exit_codes.py).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, LongformerConfig, NystromformerConfig, PreTrainedConfig

import mlsg
from mlsg.errors import MlsgError
from mlsg.model.backbone import load_backbone
from tests.audit.finding import Finding
from tests.model.folders import write, written_folder
from tests.tiny_models import tiny_bert, tiny_xlmr

_ROUNDED = 0.06  # right values have one decimal
_TIED = 0.16  # cut to eight tokens, many pairs hold equal texts, and rounding orders them
_PROMPT = "Represent the meaning of this sentence for semantic similarity: "


def findings(shared: Path) -> Iterator[Finding]:
    """A line a sample; a refusal that should name its cause counts 0, and 1 where it does not come."""
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        yield from _models(shared, work)
        yield from _files(shared, work)
        yield from _refusals(shared, work)
        yield _special_pieces(work)


def _scored(name: str, right: float, found: float | None, allowed: float = _ROUNDED) -> Finding:
    difference = float("inf") if found is None else abs(100 * found - right)
    return Finding(f"{name}, right is {right}", difference, allowed)


def _spearman(encoder: str | Path, pair_set: str, work: Path, **how: object) -> float | None:
    """Spearman of an encoder on one set."""
    lang = pair_set.partition(".")[2].partition("-")[0]
    found = mlsg.evaluate(
        encoder, [lang], workspace=work / "workspace", resamples=100, precision="float32", **how
    ).set_score(pair_set)  # type: ignore[arg-type]
    return None if found is None else found.spearman


def _models(shared: Path, work: Path) -> Iterator[Finding]:
    mini = shared / "models" / "mini"
    on_files = {"data_root": shared / "data"}
    plain = shutil.copytree(mini, work / "01")
    (plain / "tokenizer_config.json").unlink()
    for pair_set, right in (("sts17.es-es", 59.05), ("stsb_google.tr", 43.0)):
        found = _spearman(plain, pair_set, work, pooling="mean", **on_files)
        yield _scored(f"01 without tokenizer_config.json, {pair_set}", right, found)
    mean = {"pooling_mode": "mean"}
    prompted = {"prompts": {"sts": _PROMPT}, "default_prompt_name": "sts"}
    shapes = {"word_embedding_dimension": 256}
    made: dict[str, tuple[float, Callable[[Path], Path]]] = {
        "03 include_prompt: false": (
            63.2,
            lambda at: written_folder(mini, at, pooling={**mean, **shapes, "include_prompt": False}, model=prompted),
        ),
        "04 sentence_xlm-roberta_config.json": (
            46.1,
            lambda at: written_folder(
                mini,
                at,
                pooling={**mean, **shapes},
                transformer={"max_seq_length": 8, "do_lower_case": True},
                transformer_name="sentence_xlm-roberta_config.json",
            ),
        ),
        "05 truncate_dim": (
            45.6,
            lambda at: written_folder(mini, at, pooling={**mean, **shapes}, model={"truncate_dim": 16}),
        ),
        "06 LoRA": (45.9, partial(_with_adapter, mini)),
    }
    for name, (right, make) in made.items():
        how = {"pooling": "mean"} if name.startswith("06") else {}
        found = _spearman(make(work / name[:2]), "sts17.es-es", work, **how, **on_files)
        yield _scored(name, right, found, _TIED if name.startswith("04") else _ROUNDED)


def _with_adapter(mini: Path, folder: Path) -> Path:
    """The adapter that the case's own script makes: rank 4 on query and value of six layers."""
    shutil.copytree(mini, folder)
    generator, tensors = torch.Generator().manual_seed(0), {}
    for layer in range(6):
        for part in ("query", "value"):
            at = f"base_model.model.encoder.layer.{layer}.attention.self.{part}"
            tensors[f"{at}.lora_A.weight"] = torch.randn(4, 256, generator=generator) * 0.1
            tensors[f"{at}.lora_B.weight"] = torch.randn(256, 4, generator=generator) * 0.1
    save_file(tensors, folder / "adapter_model.safetensors")
    kind = {"peft_type": "LORA", "task_type": "FEATURE_EXTRACTION", "base_model_name_or_path": "mini", "bias": "none"}
    sizes = {"r": 4, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": ["query", "value"]}
    write(folder / "adapter_config.json", {**kind, **sizes})
    return folder


def _files(shared: Path, work: Path) -> Iterator[Finding]:
    cases, encoder = shared / "cases", shared / "models" / "mini"
    for name in ("whole", "padded"):
        found = _spearman(encoder, f"{name}.xx", work, pooling="mean", langs_dir=cases / "07-xz-padding")
        yield _scored(f"07 xz padding, {name}", 59.1, found)
    declared = {"10-quoted-tsv": ("quoted = true", 82.1), "11-empty-or-null-sentence": ("blank_sentences = true", 71.4)}
    for name, (line, right) in declared.items():
        folder = shutil.copytree(cases / name, work / name)
        (folder / "xx.toml").write_text(f"{(folder / 'xx.toml').read_text()}\n{line}\n")
        yield _scored(name, right, _spearman("starter", "mine.xx", work, pooling="mean", langs_dir=folder))
    family = mlsg.evaluate(
        encoder,
        ["ar", "cs", "hi", "tr", "zh"],
        pooling="mean",
        family="mstsb_google",
        data_root=shared / "data",
        workspace=work / "workspace",
    )
    assert family.mean is not None
    assert family.mean.interval is not None
    low, high = family.mean.interval
    yield Finding("18 width of the interval over translations, right is 5.85", abs(100 * (high - low) - 5.85), 0.4)


def _refusals(shared: Path, work: Path) -> Iterator[Finding]:
    cases, mini = shared / "cases", shared / "models" / "mini"
    for name, cause in (("10-quoted-tsv", "quoted = true"), ("11-empty-or-null-sentence", "is empty")):
        yield _refused(name, cause, lambda name=name: _spearman(mini, "mine.xx", work, langs_dir=cases / name))  # type: ignore[misc]
    gap = tiny_bert(work / "14")
    table = json.loads((gap / "tokenizer.json").read_text("utf-8"))
    vocabulary = table["model"]["vocab"]
    vocabulary[max(vocabulary, key=vocabulary.__getitem__)] = 30000
    write(gap / "tokenizer.json", table)
    yield _refused("14 an id past the rows", "30000", lambda: load_backbone(str(gap)))
    yield _refused("15 Nystromformer", "nystromformer", lambda: load_backbone(str(_random(NystromformerConfig, work))))
    long = _random(LongformerConfig, work)
    text = work / "text.txt"
    text.write_text("".join(f"A sentence of number {number} is here.\n" for number in range(40)))
    sentences = mlsg.prepare("en", source=text, workspace=work / "workspace")
    few = {"max_steps": 1, "dev": "none", "workspace": work / "workspace"}
    yield _refused(
        "15 Longformer trains, or is refused", "longformer", lambda: mlsg.train(long, sentences, **few), or_ends=True
    )


def _random(kind: type[PreTrainedConfig], work: Path) -> Path:
    folder = tiny_bert(work / kind.model_type)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModel.from_config(kind(vocab_size=352, max_position_embeddings=66, **sizes))
    model.save_pretrained(folder)
    return folder


def _refused(name: str, cause: str, use: Callable[[], object], *, or_ends: bool = False) -> Finding:
    try:
        use()
    except MlsgError as error:
        return Finding(f"{name}: {str(error)[:110]}", float(cause not in str(error)), 0.0)
    return Finding(f"{name}: not refused", float(not or_ends), 0.0)


def _special_pieces(work: Path) -> Finding:
    encoder = mlsg.Encoder.from_pretrained(tiny_xlmr(work / "20"), pooling="mean", device="cpu")
    encoder.save_pretrained(work / "20-saved")
    texts = ["the <pad> cat sleeps", "<pad>", "a <mask> </s> <pad> b"]
    theirs = SentenceTransformer(str(work / "20-saved"), device="cpu").encode(texts)
    return Finding("20 a literal <pad> under XLM-R", float(np.abs(encoder.encode(texts) - theirs).max()), 1e-5)
