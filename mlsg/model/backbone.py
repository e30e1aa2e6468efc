"""A base: an encoder of the BERT kind with its tokenizer, seen through all its hidden layers.

    backbone = load_backbone("bert-base-multilingual-cased")       # a hub id, a folder, or "starter"
    tokens = backbone.tokenize(["Bir cümle.", "Başka."])           # Tokens
    states = backbone.hidden_states(*tokens.batch([0, 1]))         # L + 1 tensors (b, t, d)

What it does not do: decoders, sequence-to-sequence models, models with code of their own.
Shapes: b sentences, t tokens, d dimensions, L layers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mlsg.errors import ModelError, SettingError
from mlsg.model.fast import attention
from mlsg.model.fast.dropout import StreamDropout
from mlsg.model.fast.linear import Float32Linear, fast_model, shared_copy, with_gelu_inside
from mlsg.model.fast.packing import Packed, can_pack, pack, pool_packed
from mlsg.model.folder import read_transformer
from mlsg.model.guard import one_line
from mlsg.model.precision import autocast
from mlsg.model.pretrained import first_position, positions, read_config, read_model
from mlsg.model.source import ModelFolder, find_model
from mlsg.model.tokenizer import read_tokenizer
from mlsg.model.tokens import Tokens, tokenize
from mlsg.model.trial import try_encoding, try_training
from mlsg.model.weights import check_pointers

if TYPE_CHECKING:
    from mlsg.hub import Hub

_ENDLESS = 10**9  # from here on a tokenizer's maximum means that it has none


class Backbone(nn.Module):
    """The transformer and its tokenizer. `layers` is L, `dimension` is d, `max_length` counts special tokens.

    `lower_case` says that sentence-transformers has to lower-case; the tokenizer given here does so already.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        lower_case: bool = False,
        name: str = "",
        revision: str = "",
    ) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.revision = revision
        self.max_length = max_length
        self.lower_case = lower_case
        self.layers: int = model.config.num_hidden_layers
        self.dimension: int = model.config.hidden_size

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @cached_property
    def packs(self) -> bool:
        """Whether sentences can share rows (`fast/packing.py`): the kind of base allows it and one trial agrees."""
        padding = self._first_position - 1  # under RoBERTa this id has no place of its own, also inside a text
        return can_pack(self.model) and padding in (-1, self.tokenizer.pad_token_id) and _packs(self)

    def hidden_states(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """L + 1 tensors (b, t, d) from ids and mask (b, t); index 0 is the embedding layer's output.

        Packed rows have a mask (b, 1, t, t) and positions (b, t) that count from 0.
        """
        output = self._run(input_ids, attention_mask, position_ids, all_layers=True)
        if self.layers == 0:  # transformers then has no layer to listen to
            return (output.last_hidden_state,)
        if len(output.hidden_states) != self.layers + 1:
            problem = f"{self.name} shows {len(output.hidden_states)} hidden states for {self.layers} layers"
            raise ModelError(problem, "use an encoder of the BERT kind")
        return tuple(output.hidden_states)

    def last_state(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor | None = None) -> Tensor:
        """The last layer's output (b, t, d); the others are not kept."""
        state: Tensor = self._run(input_ids, attention_mask, position_ids, all_layers=False).last_hidden_state
        return state

    def states_of(self, packed: Packed) -> tuple[Tensor, ...]:
        """L + 1 tensors (r, t, d) of packed rows."""
        return self.hidden_states(packed.ids, packed.mask, self._positions(packed))

    def last_state_of(self, packed: Packed) -> Tensor:
        """The last layer's output (r, t, d) of packed rows."""
        return self.last_state(packed.ids, packed.mask, self._positions(packed))

    def _positions(self, packed: Packed) -> Tensor | None:
        """(r, t) from 0, as transformers counts them: under RoBERTa without the padding ids that stand in a text."""
        if not packed.together:
            return None
        return packed.positions if packed.unpadded is None or not self._first_position else packed.unpadded

    def _run(self, ids: Tensor, mask: Tensor, positions: Tensor | None, *, all_layers: bool) -> Any:
        counted = {} if positions is None else {"position_ids": positions + self._first_position}
        return self.model(input_ids=ids, attention_mask=mask, output_hidden_states=all_layers, **counted)

    @cached_property
    def _first_position(self) -> int:
        return first_position(self.model)

    def tokenize(self, texts: Sequence[str], max_length: int | None = None) -> Tokens:
        """Tokens of each text, cut to `max_length` or this backbone's own. Raises DataError for broken Unicode."""
        return tokenize(self.tokenizer, texts, max_length or self.max_length)

    def embedding_parameters(self) -> Iterator[nn.Parameter]:
        """All parameters of the embedding layer: words, positions, types and their LayerNorm."""
        embeddings = getattr(self.model, "embeddings", None)
        yield from (embeddings if isinstance(embeddings, nn.Module) else self.model.get_input_embeddings()).parameters()

    def copy_frozen(self) -> Backbone:
        """A copy of the weights that does not learn, in evaluation mode; the tokenizer is shared."""
        return self._with_model(copy.deepcopy(self.model)).requires_grad_(False).eval()

    def for_inference(self, precision: str) -> Backbone:
        """The same weights, ready to be run fast without gradient (`fast/linear.py`); precision: float32, bf16."""
        return _run_once(self._with_model(fast_model(self.model, precision), packs=self.packs).eval(), precision)

    def for_training(self) -> Backbone:
        """The same weights in training mode; on a CPU, dropout, attention and linear layers cost less than torch's."""
        model = shared_copy(self.model, {nn.Linear: Float32Linear, nn.Dropout: StreamDropout})
        model = attention.with_own_attention(model) if attention.can_attend(self.model) else model
        ready = self._with_model(model, packs=self.packs).train()
        try_training(ready)
        return ready

    def for_measuring(self, precision: str) -> Backbone:
        """As `for_inference`, for vectors that are not kept: faster in bf16, with other bits."""
        model = with_gelu_inside(fast_model(self.model, precision))
        model = attention.with_own_attention(model) if self.packs else model
        return _run_once(self._with_model(model, packs=self.packs).eval(), precision)

    def truncated(self, layers: int) -> Backbone:
        """A copy of the lowest `layers` layers, 0 being the embedding layer alone.

        Its last layer's output is this one's hidden state of that number; where it is not (a model with a last
        normalisation), ModelError is raised. SettingError for a layer that does not exist.
        """
        if not 0 <= layers <= self.layers:
            raise SettingError(f"layer is {layers}", f"the base has layers 0 to {self.layers}")
        copied = self._with_model(copy.deepcopy(self.model))
        if layers == self.layers:
            return copied
        _keep_layers(copied.model, self.layers, layers)
        copied.layers = layers
        reason = None
        try:
            if _agrees(copied, self):
                return copied
        except Exception as error:  # DeBERTa's code cannot run without a layer, others may not run with fewer
            reason = error
        problem = f"layer {layers} of {self.name} cannot be taken out as a model of {layers} layers"
        raise ModelError(problem, "pool from the last layer") from reason

    def _with_model(self, model: nn.Module, **known: Any) -> Backbone:
        """This with another model; `known` are properties that need not be tried again."""
        copied = copy.copy(self)
        for name in ("packs", "_first_position"):
            copied.__dict__.pop(name, None)
        copied.__dict__.update(known)
        copied._modules = {**self._modules, "model": model}
        return copied


def load_backbone(
    model: str, revision: str = "main", *, max_length: int | None = None, hub: Hub | None = None
) -> Backbone:
    """The base `model`: "starter", a transformers or sentence-transformers folder, or a hub id.

    `max_length` can only shorten what tokenizer and positions allow. `hub` brings a workspace's record of revisions. In
    evaluation mode, float32, on the CPU. Raises ModelError for what is not an encoder, HubUnreachableError.
    """
    return read_backbone(find_model(model, revision, hub), max_length=max_length)


def read_backbone(located: ModelFolder, *, max_length: int | None = None) -> Backbone:
    """The base in a folder of this machine. Raises ModelError for all that can be wrong with it."""
    with one_line(f"{located.name} cannot be loaded", "use an encoder of the BERT kind"):
        declared = read_transformer(located.folder)
        check_pointers(declared.folder)
        config = read_config(declared.folder)
        tokenizer = read_tokenizer(declared.folder, config, lower_case=declared.lower_case)
        model = read_model(declared.folder, config)
        own = declared.max_length or tokenizer.model_max_length  # sentence-transformers sets the one to the other
        limits = (max_length, own, positions(model))
        shortest = min((limit for limit in limits if limit is not None and limit < _ENDLESS), default=512)
        least = tokenizer.num_special_tokens_to_add() + 1
        if shortest < least:
            raise ModelError(f"{located.name} takes {shortest} tokens, too few for a word", f"set {least} or more")
        where = {"name": located.name, "revision": located.revision}
        backbone = Backbone(model, tokenizer, max_length=shortest, lower_case=declared.lower_case, **where).eval()
        try_encoding(backbone)
        return backbone


def masks_by_sentence(model: str, revision: str, hub: Hub) -> bool:
    """Whether a CPU draws all dropout masks of a base by sentence (`fast/dropout.py`). Raises as `load_backbone`."""
    folder = find_model(model, revision, hub).folder
    return attention.masks_by_sentence(read_config(read_transformer(folder).folder))


def _keep_layers(model: PreTrainedModel, layers: int, kept: int) -> None:
    """Drop the layers above the lowest `kept`, in place; a model that shares one layer (ALBERT) only counts fewer."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == layers:
                setattr(module, name, child[:kept])
    model.config.num_hidden_layers = kept


@torch.no_grad()
def _agrees(short: Backbone, whole: Backbone) -> bool:
    """Whether the short model's output is the whole one's hidden state, tried on one sentence."""
    ids, mask = (tensor.to(whole.device) for tensor in whole.tokenize(["1 2 3 4 5 6 7 8 9"]).batch([0]))
    modes = whole.training
    whole.eval()
    expected = whole.hidden_states(ids, mask)[short.layers]
    whole.train(modes)
    return torch.allclose(short.eval().last_state(ids, mask), expected, atol=1e-5)


@torch.no_grad()
def _run_once(backbone: Backbone, precision: str) -> Backbone:
    """The same backbone, after what it makes ready at its first call: several threads may call it from now on.

    That is the layout of bf16 weights, and what transformers hooks into a model to collect its layers' outputs.
    """
    ids, mask = (tensor.to(backbone.device) for tensor in backbone.tokenize(["1"]).batch([0]))
    with autocast(backbone.device, precision):
        backbone.hidden_states(ids, mask)
    return backbone


@torch.no_grad()
def _packs(backbone: Backbone) -> bool:
    """Whether sentences that share a row have the vectors that they have alone, tried on three."""
    tokens = backbone.tokenize(["1", "1 2 3 4 5 6 7 8 9", "2 3 4"])
    modes = backbone.training
    backbone.eval()
    try:
        shared, alone = (
            pool_packed(backbone.states_of(packed), packed, "mean")
            for packed in (pack(tokens, [0, 1, 2], together=together).to(backbone.device) for together in (True, False))
        )
    finally:
        backbone.train(modes)
    return torch.allclose(shared, alone, rtol=1e-3, atol=1e-3 * float(alone.abs().max()))
