"""Benchmarks measure what they say: pairs, sizes, operations, memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from benchmarks import anonymous, bench_memory, bench_recipe, bench_roofline, bench_seeds, bench_step, material
from benchmarks.machine import describe
from benchmarks.ratio import Comparison, alternate
from benchmarks.recipe_parts import Parts
from mlsg.config.recipes import EncoderSettings
from mlsg.model.backbone import load_backbone
from mlsg.model.fast.packing import pack
from mlsg.model.tokens import Tokens
from mlsg.objectives.anchor import anchors_of
from tests.tiny_models import tiny_bert

MEGABYTE = 10**6


def test_sides_take_turns_in_being_first_and_warm_up_is_not_counted() -> None:
    calls: list[str] = []
    found = alternate(lambda: calls.append("a"), lambda: calls.append("b"), pairs=3, warmup=1)
    assert len(found.ours) == len(found.theirs) == 3
    assert "".join(calls) in {"abbaabba", "baabbaab"}


def test_the_ratio_is_the_median_over_the_pairs() -> None:
    found = Comparison((1.0, 2.0, 1.0), (3.0, 4.0, 40.0))
    assert found.ratio == 3.0
    assert "ratio 3.00 (2.00 to 40.00, 3 pairs)" in found.line("x")


def test_what_seeds_share_is_counted_once_and_shared_out() -> None:
    parts = Parts({"views": 10.0}, {"dev before": 1.0}, {"steps": 100.0})
    assert parts.seconds(1) == 111.0
    assert parts.seconds(8) == 10 + 1 + 800
    assert parts.seconds(8, beside=2) == 5 + 1 + 400


def test_the_machine_is_named() -> None:
    assert torch.__version__ in describe() and "cores" in describe()


def test_the_shape_is_that_of_mbert() -> None:
    shape = material.SHAPES["mbert"]
    with torch.device("meta"):
        model = BertModel(
            BertConfig(
                vocab_size=shape.vocabulary,
                hidden_size=shape.width,
                num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads,
                intermediate_size=shape.inner,
                max_position_embeddings=shape.positions,
            )
        )
    assert sum(parameter.numel() for parameter in model.parameters()) == 177_853_440  # as published


def test_written_weights_load_and_a_sample_of_sentences_is_the_same_each_time(tmp_path: Path) -> None:
    backbone = load_backbone(str(material.write_bert(material.SHAPES["tiny"], tmp_path / "base")))
    texts = material.sentences(50)
    assert len(set(texts)) == 50 and texts == material.sentences(50)
    tokens = backbone.tokenize(texts)
    assert 2 < tokens.lengths.mean() < 128 and tokens.flat.max() < 32_000
    assert len(material.sentences()) > 1000


@pytest.mark.parametrize("guide", [False, True])
def test_counted_operations_are_those_that_torch_counts(tmp_path: Path, guide: bool) -> None:
    layers, width, inner, head, batch, tokens = 3, 32, 64, 40, 4, 5
    base = load_backbone(str(tiny_bert(tmp_path / "base", layers=layers, width=width)))
    base.requires_grad_(True)
    for parameter in base.embedding_parameters():
        parameter.requires_grad_(False)
    torch.manual_seed(0)
    head_of = torch.nn.Sequential(torch.nn.Linear(width, head), torch.nn.GELU(), torch.nn.Linear(head, head))
    flat, ends = np.full(batch * tokens, 7, dtype=np.int32), np.arange(batch + 1) * tokens
    text = Tokens(flat, ends, np.zeros(batch, dtype=np.bool_), 0)
    assert base.packs  # found out by a forward pass, which is not to be counted
    packed = pack(text, range(batch), together=True)
    views = torch.randn(batch * (layers + 1), width)

    with FlopCounterMode(display=False) as counter:
        anchors = head_of(anchors_of(base, packed, EncoderSettings(pooling="cls")))
        (anchors @ head_of(views).T).sum().backward()
        if guide:
            with torch.no_grad():
                base.states_of(packed)

    counts = counter.get_flop_counts()["Global"]
    plain = sum(count for operation, count in counts.items() if operation.__name__ in {"mm", "addmm"})
    sizes = bench_roofline.Step(batch * tokens, batch, layers, width, inner, layers + 1, head, guide, batch)
    assert sum(product.flops for product in bench_roofline.products(sizes)) == plain


def test_the_peak_of_memory_is_seen_in_children_too(tmp_path: Path) -> None:
    hold = "import time; held = bytearray(b'1' * 150_000_000); time.sleep(0.5)"
    alone = anonymous.run([sys.executable, "-c", hold], os.environ, tmp_path / "alone.log")
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}], check=True); print('done')"
    child = anonymous.run([sys.executable, "-c", nested], os.environ, tmp_path / "child.log")
    for ran in (alone, child):
        assert 150 * MEGABYTE < ran.peak < 340 * MEGABYTE
    assert child.output == "done\n"
    with pytest.raises(RuntimeError, match="ended with 3"):
        anonymous.run([sys.executable, "-c", "raise SystemExit(3)"], os.environ, tmp_path / "bad.log")


def test_generated_sentences_are_as_many_as_asked_and_nearly_all_different(tmp_path: Path) -> None:
    bench_memory.write_sentences(tmp_path / "text", 12_000)
    lines = (tmp_path / "text").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 12_000 and len(set(lines)) > 11_990


def test_a_step_a_recipe_and_the_roofline_are_measured_in_a_tiny_form(capsys: pytest.CaptureFixture[str]) -> None:
    bench_step.main(["--shape", "tiny", "--pairs", "2"])
    bench_recipe.main(["--shape", "tiny", "--pairs", "2", "--sample", "64", "--dev", "40"])
    bench_roofline.main(["--shape", "tiny", "--steps", "2"])
    bench_seeds.main(["--shape", "tiny", "--pairs", "2", "--steps", "2", "--sample", "256", "--dev", "40"])
    said = capsys.readouterr().out
    for wanted in (
        "training step, tiny",
        "whole recipe, tiny",
        "8 seeds, tiny",
        "mlsg 2 at a time",
        "one after the other on all cores",
        "share reached",
    ):
        assert wanted in said
    assert "put together from parts" in said and "really run" not in said
