"""A BERT as transformers has it, and the losses that pretraining puts on it.

Words are predicted at hidden places alone: the rest of the vocabulary-wide product would be thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BertConfig, BertForPreTraining

from mlsg.pretraining.head import asked_loss
from mlsg.pretraining.inputs import Batch
from mlsg.pretraining.settings import PretrainSettings
from mlsg.pretraining.tokenizer import PAD
from mlsg.train.schedule import seed_of

SAVED_DROPOUT = 0.1
"""What the saved configuration says, whatever pretraining used: SimCSE and its kin live on dropout."""
_RARE = 1e-3
"""Words of this frequency count half as much as the rarest in the loss of [CLS]."""


@dataclass(frozen=True)
class Losses:
    """The loss of a step, and what it is made of, without gradient."""

    total: Tensor
    words: Tensor
    """(masked,)"""
    sentences: Tensor
    """Sum over the labelled rows."""
    bag: Tensor
    """Sum over the vectors that were asked for a bag."""
    vectors: int
    """How many these are."""


@dataclass(frozen=True)
class _Seen:
    """Of one pass: hidden states at hidden places, vectors of texts, and what each is asked for."""

    hidden: Tensor
    words: Tensor
    pooled: Tensor
    labels: Tensor
    vectors: Tensor
    """(rows, or twice as many, d); none where no bag is asked for."""
    bag: tuple[Tensor, Tensor, Tensor]
    """Places of vectors, ascending, words, and weights that sum to 1 for each vector."""


def make_network(vocabulary: int, settings: PretrainSettings) -> BertForPreTraining:
    """A network with weights drawn from the seed, without dropout, in training mode."""
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.width,
        max_position_embeddings=settings.lengths[-1],
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=PAD,
    )
    config._attn_implementation = settings.attention
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(settings.seed, "weights"))
        return BertForPreTraining(config).train()


def losses(
    model: BertForPreTraining, batches: Sequence[Batch], frequencies: Tensor, settings: PretrainSettings
) -> Losses:
    """The losses of a step's passes; `frequencies` (vocabulary,) weigh the words of the bag."""
    seen = [_seen(model, batch, frequencies, settings) for batch in batches]
    hidden, vectors, words = (
        torch.cat([getattr(each, part) for each in seen]) for part in ("hidden", "vectors", "words")
    )
    firsts = len(hidden) + np.cumsum([0, *(len(each.vectors) for each in seen)])
    places = torch.cat([each.bag[0] + int(first) for each, first in zip(seen, firsts, strict=False)])
    asked, weights = (torch.cat([each.bag[part] for each in seen]) for part in (1, 2))
    states = model.cls.predictions.transform(torch.cat((hidden, vectors)))
    everything = (
        torch.cat((torch.arange(len(hidden), device=hidden.device), places)),
        torch.cat((words, asked)),
        torch.cat(
            (
                torch.full_like(words, 1, dtype=torch.float32) / len(words),
                weights * (settings.bag / max(1, len(vectors))),
            )
        ),
    )
    decoder = model.cls.predictions.decoder
    total, each = asked_loss(states, decoder.weight, decoder.bias, everything)
    labels = torch.cat([each.labels for each in seen])
    sentences = total.new_zeros(())
    if len(labels) and settings.next_sentence:
        scores = model.cls.seq_relationship(torch.cat([each.pooled for each in seen]))
        sentences = F.cross_entropy(scores.float(), labels, reduction="sum")
        total = total + settings.next_sentence * sentences / len(labels)
    return Losses(total, each[: len(words)], sentences.detach(), (weights * each[len(words) :]).sum(), len(vectors))


def _seen(model: BertForPreTraining, batch: Batch, frequencies: Tensor, settings: PretrainSettings) -> _Seen:
    device = model.device

    def there(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array).to(device, non_blocking=True)

    output = model.bert(
        input_ids=there(batch.ids), token_type_ids=there(batch.types), attention_mask=_mask(batch, device)
    )
    states = output.last_hidden_state
    vectors, bag = states[:0, 0], (there(batch.bag_rows[:0]), there(batch.bag_words[:0]), frequencies[:0])
    if settings.bag:
        chosen = {"cls": [states[:, 0]], "mean": [_means(states, there(batch.lengths))]}
        chosen["both"] = [*chosen["cls"], *chosen["mean"]]
        vectors, bag = (
            torch.cat(chosen[settings.bag_pooling]),
            _bag(batch, frequencies, len(chosen[settings.bag_pooling])),
        )
    return _Seen(
        states.flatten(0, 1)[there(batch.places)],
        there(batch.targets),
        output.pooler_output[there(batch.pair_rows)],
        there(batch.labels),
        vectors,
        bag,
    )


def _bag(batch: Batch, frequencies: Tensor, times: int) -> tuple[Tensor, Tensor, Tensor]:
    """What each text is asked for, frequent words less, `times` over."""
    rows, words = (torch.as_tensor(part).to(frequencies.device) for part in (batch.bag_rows, batch.bag_words))
    weights = _RARE / (_RARE + frequencies[words])
    totals = torch.zeros(len(batch.lengths), device=weights.device).index_add_(0, rows, weights)
    weights = weights / totals[rows]
    places = torch.cat([rows + time * len(batch.lengths) for time in range(times)])
    return places, words.repeat(times), weights.repeat(times)


def _means(states: Tensor, lengths: Tensor) -> Tensor:
    """(rows, d): means over the tokens of each row, special ones included."""
    there = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
    return (states * there[..., None]).sum(1, dtype=torch.float32) / lengths[:, None]


def _mask(batch: Batch, device: torch.device) -> Tensor | None:
    """None where rows are all of one length: attention then needs none."""
    longest = batch.ids.shape[1]
    if int(batch.lengths.min()) == longest:
        return None
    places = torch.arange(longest, device=device)
    return (places < torch.as_tensor(batch.lengths, device=device)[:, None]).long()
