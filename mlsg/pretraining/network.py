"""A BERT as transformers has it, and the losses that pretraining puts on it.

Words are predicted at hidden places alone: the rest of the vocabulary-wide product would be thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BertConfig, BertForPreTraining

from mlsg.pretraining.inputs import Batch
from mlsg.pretraining.tokenizer import PAD
from mlsg.recipes import PretrainSettings
from mlsg.train.draws import seed_of

SAVED_DROPOUT = 0.1
"""What the saved configuration says, whatever pretraining used: SimCSE and its kin live on dropout."""
_RARE = 1e-3
"""Words of this frequency count half as much as the rarest in the loss of [CLS]."""


@dataclass(frozen=True)
class Losses:
    """Sums over what was asked for; `words` keeps each, for the loss per language."""

    words: Tensor
    """(masked,)"""
    sentences: Tensor
    bag: Tensor


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
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(settings.seed, "weights"))
        return BertForPreTraining(config).train()


def losses(model: BertForPreTraining, batch: Batch, frequencies: Tensor, settings: PretrainSettings) -> Losses:
    """The losses of one pass; `frequencies` (vocabulary,) weigh the words of the bag."""
    device = model.device

    def there(array: object) -> Tensor:
        return torch.as_tensor(array).to(device, non_blocking=True)

    output = model.bert(
        input_ids=there(batch.ids), token_type_ids=there(batch.types), attention_mask=_mask(batch, device)
    )
    states = output.last_hidden_state
    hidden = states.flatten(0, 1)[there(batch.places)]
    words = F.cross_entropy(model.cls.predictions(hidden).float(), there(batch.targets), reduction="none")
    none = words.new_zeros(())
    sentences = bag = none
    if settings.next_sentence and len(batch.pair_rows):
        scores = model.cls.seq_relationship(output.pooler_output[there(batch.pair_rows)])
        sentences = F.cross_entropy(scores.float(), there(batch.labels), reduction="sum")
    if settings.bag:
        lengths, rows, asked = there(batch.lengths), there(batch.bag_rows), there(batch.bag_words)
        vectors = {"cls": [states[:, 0]], "mean": [_means(states, lengths)]}
        vectors["both"] = [*vectors["cls"], *vectors["mean"]]
        chosen = vectors[settings.bag_pooling]
        bag = sum((_bag(model, each, rows, asked, frequencies) for each in chosen), none) / len(chosen)
    return Losses(words, sentences, bag)


def _means(states: Tensor, lengths: Tensor) -> Tensor:
    """(rows, d): means over the tokens of each row, special ones included."""
    there = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
    return (states * there[..., None]).sum(1, dtype=torch.float32) / lengths[:, None]


def _bag(model: BertForPreTraining, vectors: Tensor, rows: Tensor, words: Tensor, frequencies: Tensor) -> Tensor:
    """The words of each text, all at once and frequent ones less; the sum over texts of the mean over words."""
    scores = model.cls.predictions(vectors).float()
    weights = _RARE / (_RARE + frequencies[words])
    each = weights * (scores.logsumexp(-1)[rows] - scores[rows, words])
    sums, totals = (
        torch.zeros(len(vectors), device=vectors.device).index_add(0, rows, part) for part in (each, weights)
    )
    return (sums / totals.clamp_min(1e-6)).sum()


def _mask(batch: Batch, device: torch.device) -> Tensor | None:
    """None where rows are all of one length: attention then needs none."""
    longest = batch.ids.shape[1]
    if int(batch.lengths.min()) == longest:
        return None
    places = torch.arange(longest, device=device)
    return (places < torch.as_tensor(batch.lengths, device=device)[:, None]).long()
