"""Settings of `mlsg starter build`, the table [pretrain] of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from mlsg.config.recipes import Precision, Recipe
from mlsg.config.settings import LARGEST_SEED, Between, read_settings
from mlsg.errors import SettingError


@dataclass(frozen=True)
class PretrainSettings:
    """Settings of `mlsg starter build`: a base pretrained from a folder of text."""

    languages: Annotated[tuple[str, ...], "languages of the folder that are read; empty: all"] = ()
    vocabulary: Annotated[int, "pieces of the tokenizer", Between(64, 2**31)] = 32_000
    tokenizer_share: Annotated[
        float, "power of a language's characters in the tokenizer's sample; 1: as they are, 0: all alike", Between(0, 1)
    ] = 0.5
    width: Annotated[int, "dimensions of the hidden states", Between(4, 2**16)] = 256
    layers: Annotated[int, "layers", Between(1, 1000)] = 6
    heads: Annotated[int, "attention heads a layer", Between(1, 2**16)] = 4
    attention: Annotated[
        Literal["eager", "sdpa"], "how attention is computed; for short inputs on a CPU eager takes a third of the time"
    ] = "eager"
    lengths: Annotated[
        tuple[int, ...], "longest input of each stretch of the training; the last: positions", Between(8, 2**20)
    ] = (64, 128, 256)
    length_shares: Annotated[tuple[float, ...], "share of the tokens of each stretch", Between(0, 1)] = (0.7, 0.2, 0.1)
    tokens: Annotated[int, "tokens to train on, padding not counted", Between(1, 10**15)] = 30_000_000
    batch_tokens: Annotated[int, "tokens a step, about", Between(64, 2**30)] = 8192
    pass_tokens: Annotated[int, "tokens a forward pass at most, padding counted", Between(64, 2**30)] = 4096
    language_share: Annotated[
        float, "power of a language's tokens in what is drawn; 1: as they are, 0: all alike", Between(0, 1)
    ] = 0.7
    pair_share: Annotated[float, "share of the tokens that are translation pairs", Between(0, 0.95)] = 0.25
    mask_share: Annotated[float, "share of the words that are asked for", Between(0.01, 0.9)] = 0.2
    next_sentence: Annotated[float, "weight of [CLS]'s loss on neighbouring sentences; 0: none", Between(0, 1e6)] = 1.0
    bag: Annotated[
        float, "weight of the loss of a text's vector on its words, or on its translation's; 0: none", Between(0, 1e6)
    ] = 1.0
    bag_pooling: Annotated[Literal["cls", "mean", "both"], "which vector of the last layer it is asked of"] = "both"
    embedding_start: Annotated[
        Literal["cooccurrence", "random"], "embeddings at the start: of words that occur together, or drawn"
    ] = "cooccurrence"
    matrix_rate: Annotated[float, "peak learning rate of the matrices (Muon)", Between(0, 1e6)] = 0.02
    embedding_rate: Annotated[
        float,
        "peak learning rate of the words' embeddings (AdamW); at 1e-3 what they begin with is soon lost",
        Between(0, 1e6),
    ] = 2e-4
    other_rate: Annotated[float, "peak learning rate of biases, norms and all else (AdamW)", Between(0, 1e6)] = 1e-3
    weight_decay: Annotated[float, "on matrices and embeddings, times the rate", Between(0, 100)] = 0.01
    warmup_tokens: Annotated[int, "tokens while the rate climbs, at most a tenth of all", Between(0, 1e15)] = 1_000_000
    decay: Annotated[float, "share of the tokens, at the end, with a rate that falls to 0", Between(0, 1)] = 0.3
    clip: Annotated[float, "largest gradient norm; 0: no clipping", Between(0, 1e12)] = 1.0
    precision: Annotated[Precision, "float32, or bf16 autocast; the weights themselves are float32"] = "bf16"
    seed: Annotated[int, "seed of every draw", Between(0, LARGEST_SEED)] = 1


def pretrain_settings(recipe: Recipe) -> PretrainSettings:
    """The settings that a recipe has for pretraining. Raises SettingError where it has none or they are wrong."""
    if recipe.pretrain is None:
        raise SettingError(f"recipe {recipe.name} has no [pretrain]", 'name one that has, such as "starter"')
    return read_settings(PretrainSettings, recipe.pretrain, f"[pretrain] of recipe {recipe.name}")
