"""Dropout by sentence: the share that is dropped, the mean that stays, masks that depend on a sentence's seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    BertConfig,
    FlaubertConfig,
    ModernBertConfig,
    SqueezeBertConfig,
)

from mlsg.model.backbone import load_backbone
from mlsg.model.fast.attention import masks_by_sentence
from mlsg.model.fast.dropout import StreamDropout, drop, masks_of
from mlsg.model.fast.packing import Packed, pack
from mlsg.model.tokens import Tokens
from tests.tiny_models import SENTENCES, tiny_bert

LENGTHS = [5, 2, 9, 3, 7, 4]
HEADS, DIMENSION = 3, 10


def laid_out(lengths: Sequence[int], rows: Sequence[int], *, together: bool = True) -> Packed:
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = Tokens(np.arange(starts[-1], dtype=np.int32), starts, np.zeros(len(lengths), dtype=bool), 0)
    return pack(tokens, rows, together=together, budget=12)


def written_out(seeds: Sequence[int], lengths: Sequence[int], p: float) -> list[list[Tensor]]:
    """The factors of hidden states, attention and first tokens, drawn in this order, for each sentence."""
    found = []
    for seed, length in zip(seeds, lengths, strict=True):
        stream, factors = np.random.SFC64(seed), []
        for shape in ((length, DIMENSION), (HEADS, length, length), (DIMENSION,)):
            count = int(np.prod(shape))
            numbers: list[int] = []
            while len(numbers) < count:
                word = int(stream.random_raw())
                numbers += [(word >> shift) & 0xFFFF for shift in (0, 16, 32, 48)]
            limit = round(p * 65536)
            kept = [65536 / (65536 - limit) if number >= limit else 0.0 for number in numbers[:count]]
            factors.append(torch.tensor(kept).view(shape))
        found.append(factors)
    return found


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("parts", [[[0, 1, 2, 3, 4, 5]], [[4, 0, 3], [5, 1, 2]], [[5], [2, 1, 0, 3], [4]]])
def test_masks_are_those_of_a_written_out_loop_in_every_layout(parts: list[list[int]], together: bool) -> None:
    expected = written_out([100 + row for row in range(6)], LENGTHS, 0.3)
    for part in parts:
        packed = laid_out(LENGTHS, part, together=together)
        rows, width = packed.ids.shape
        shapes = (rows, width, DIMENSION), (rows, HEADS, width, width), (1, len(part), DIMENSION)
        with masks_of([100 + row for row in part], packed):
            hidden, shares, firsts = (drop(torch.ones(shape), 0.3) for shape in shapes)
        for place, row in enumerate(part):
            line, start = divmod(int(packed.firsts[place]), width)
            own = slice(start, start + LENGTHS[row])
            of_hidden, of_shares, of_first = expected[row]
            torch.testing.assert_close(hidden[line, own], of_hidden)
            torch.testing.assert_close(shares[line, :, own, own], of_shares)
            torch.testing.assert_close(firsts[0, place], of_first)
        assert hidden.isfinite().all()
        assert shares.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.003])
def test_the_share_is_p_and_the_mean_stays(p: float, dtype: torch.dtype) -> None:
    packed = laid_out([501, 300], [0, 1], together=False)
    with masks_of([1, 2], packed):
        found = drop(torch.ones((2, 501, 501), dtype=dtype), p).flatten(0, 1)[packed.places]
    count = found.numel()  # no sentence has a multiple of the four numbers that one draw decides on
    dropped = float((found == 0).double().mean())
    assert dropped == pytest.approx(p, abs=4 * (p * (1 - p) / count) ** 0.5)
    kept = found[found != 0]
    assert found.dtype == dtype
    assert torch.equal(kept, kept[:1].expand_as(kept))
    assert float(kept[0]) == pytest.approx(1 / (1 - p), rel=5e-3 if dtype == torch.bfloat16 else 1e-4)


def test_numbers_are_dropped_independently_of_their_neighbours() -> None:
    with masks_of([2], laid_out([400], [0])):
        zero = (drop(torch.ones(1, 400, 1000), 0.3) == 0).double().flatten()
    for apart in (1, 2, 3, 4, 5):
        assert float((zero[:-apart] * zero[apart:]).mean()) == pytest.approx(0.09, abs=0.003)


def test_the_seed_decides_and_nothing_else() -> None:
    layer = StreamDropout(0.5)
    x = torch.randn(1, 7, 5)
    found = []
    for seed in (5, 5, 6):
        torch.manual_seed(len(found))
        with masks_of([seed], laid_out([7], [0])):
            found.append((layer(x), layer(x)))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], found[0][1])
    assert not torch.equal(found[0][0], found[2][0])
    assert torch.equal(layer.eval()(x), x)


def test_gradients_pass_what_was_kept() -> None:
    x = torch.randn(1, 40, 6, dtype=torch.float64, requires_grad=True)
    with masks_of([3], laid_out([40], [0])):
        y = drop(x, 0.25)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(y, x * x.grad)
    assert sorted(x.grad.unique().tolist()) == pytest.approx([0.0, 4 / 3], abs=1e-4)


def test_without_streams_or_in_another_shape_it_is_torchs_own() -> None:
    x = torch.randn(50, 3)
    torch.manual_seed(4)
    expected = torch.nn.Dropout(0.2)(x)
    torch.manual_seed(4)
    assert torch.equal(StreamDropout(0.2)(x), expected)
    packed = laid_out([3, 4], [0, 1])
    with masks_of([1, 2], packed):
        torch.manual_seed(4)
        assert torch.equal(StreamDropout(0.2)(x), expected)
        states = torch.ones(*packed.ids.shape, 2)
        assert torch.equal(drop(states, 1.0), torch.zeros_like(states))
        assert torch.equal(drop(states, 0.0), states)


def test_each_sentence_has_a_seed() -> None:
    with pytest.raises(ValueError, match="1 seeds for 2 sentences"), masks_of([1], laid_out([3, 4], [0, 1])):
        pass


@pytest.mark.parametrize(
    "kind", ["bert", "roberta", "roberta-prelayernorm", "deberta-v2", "mpnet", "esm", "megatron-bert"]
)
def test_the_masks_of_a_base_do_not_depend_on_how_a_batch_is_split(kind: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(tmp_path))
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), max_position_embeddings=66, pad_token_id=0, **size)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    base = load_backbone(str(tmp_path))
    tuned, tokens = base.for_training(), base.tokenize(SENTENCES[:4])

    def states(rows: Sequence[int]) -> Sequence[Tensor]:
        packed = pack(tokens, rows, together=base.packs)
        with masks_of([100 + row for row in rows], packed), torch.no_grad():
            return tuned.last_state_of(packed).flatten(0, 1)[packed.places].split(packed.lengths.tolist())

    whole, parts = states([0, 1, 2, 3]), [*states([2, 3]), *states([0, 1])]
    for one, other in zip(whole, [*parts[2:], *parts[:2]], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert masks_by_sentence(base.model.config)
    assert not torch.allclose(whole[0], base.last_state(*tokens.batch([0]))[0], atol=1e-3)


def test_bases_that_draw_masks_themselves_are_known() -> None:
    windows = ModernBertConfig(attention_dropout=0.1)
    assert not any(masks_by_sentence(config) for config in (FlaubertConfig(), SqueezeBertConfig(), windows))
    assert masks_by_sentence(ModernBertConfig()) and masks_by_sentence(BertConfig())
