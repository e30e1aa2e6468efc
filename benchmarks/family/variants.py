"""Questions beside the family's table, each a table of its own on the same base, sets and analysis.

    python -m benchmarks.family.variants ablations SHARED FOLDER --base e5-10 --seeds 1-2 --jobs 2

`ablations`: SG-OPT with one setting changed (the paper's appendix, and SimCSE without dropout). `domain`: SG-OPT, flow
and whitening on other text than the sets'. `size`: SG-OPT on the first so many sentences. `labels`: training on graded
pairs from the base and from SG-OPT's encoder (of seed 1), by the number of pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.family.protocol import AGAINST, Protocol, with_arguments
from mlsg import console
from mlsg.api import run_prepare, run_train
from mlsg.compare import run_method
from mlsg.config.settings import parse_seeds
from mlsg.context import Context
from mlsg.errors import DivergedError
from mlsg.evaluate.methods import Method, compare_methods
from mlsg.model.backbone import load_backbone
from mlsg.report.output import print_comparison

_PAPER = "stsb"
_OTHER_TEXT = ("nli", "mixed", "fiction", "reviews")
_SENTENCES = 17256  # as many as the paper's text has
_SIZES = (200, 1000, 5000)
_PAIRS = (100, 1000, 0)
_PAIR_STEPS = {100: 100, 1000: 250, 0: 0}  # 0: all epochs of all pairs


@dataclass(frozen=True)
class Variant:
    """A row: a recipe with some settings changed."""

    name: str
    recipe: str = AGAINST
    changes: dict[str, Any] = field(default_factory=dict)


def ablations(protocol: Protocol, context: Context) -> list[Variant]:
    """One setting changed at a time."""
    last = load_backbone(protocol.base).layers
    changed: dict[str, dict[str, Any]] = {
        "tau 0.1": {"objective.temperature": 0.1},
        "tau 0.001": {"objective.temperature": 0.001},
        "lambda 0": {"objective.reg_weight": 0.0},
        "lambda 1": {"objective.reg_weight": 1.0},
        "no head": {"objective.head_depth": 0},
        "linear head": {"objective.head_depth": 1, "objective.head_activation": "none"},
        "one view": {"objective.layers": [last]},
        "lower half": {"objective.layers": list(range(last // 2 + 1))},
        "upper half": {"objective.layers": list(range(last // 2 + 1, last + 1))},
        "mean views": {"objective.view_pooling": "mean"},
        "shared guide": {"objective.guide": "shared"},
        "guide dropout": {"objective.guide_dropout": True},
    }
    without = {"objective.dropout": False}
    return [
        Variant(AGAINST),
        *(Variant(name, changes=changes) for name, changes in changed.items()),
        Variant("simcse", "simcse"),
        Variant("simcse without dropout", "simcse", without),
    ]


def domain(protocol: Protocol, context: Context) -> list[Variant]:
    """Three methods on each text, as many sentences as the paper's where there are so many."""
    return [
        Variant(AGAINST if corpus == _PAPER and name == AGAINST else f"{name} on {corpus}", name, _text(corpus))
        for name in (AGAINST, "whitening", "flow")
        for corpus in (_PAPER, *_OTHER_TEXT)
    ]


def size(protocol: Protocol, context: Context) -> list[Variant]:
    """The first so many sentences."""
    return [Variant(AGAINST), *(Variant(f"{count} sentences", changes={"prepare.limit": count}) for count in _SIZES)]


def labels(protocol: Protocol, context: Context) -> list[Variant]:
    """The same number of steps from both starts."""
    guided = protocol.recipe(AGAINST)
    start = run_train(guided, context, run_prepare(guided, context))
    starts = {"the base": protocol.base, "SG-OPT": str(start.folder)}
    return [
        Variant(AGAINST),
        *(
            Variant(
                f"{count or 'all'} pairs from {name}",
                "sts_supervised",
                {"prepare.limit": count, "train.model": model, "train.max_steps": _PAIR_STEPS[count]},
            )
            for count in _PAIRS
            for name, model in starts.items()
        ),
    ]


GROUPS: dict[str, Callable[[Protocol, Context], Sequence[Variant]]] = {
    each.__name__: each for each in (ablations, domain, size, labels)
}


def _text(corpus: str) -> dict[str, Any]:
    return {} if corpus == _PAPER else {"prepare.corpus": corpus, "prepare.limit": _SENTENCES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("group", choices=GROUPS)
    with_arguments(parser)
    given = parser.parse_args()
    protocol, seeds = Protocol(given.base, given.folder, given.shared), parse_seeds(given.seeds)
    context = protocol.context()
    methods: list[Method] = []
    for variant in GROUPS[given.group](protocol, context):
        console.note(f"row {variant.name}")
        try:
            method = run_method(protocol.recipe(variant.recipe, **variant.changes), context, seeds, jobs=given.jobs)
        except DivergedError as error:
            console.note(f"row {variant.name}: {error}")
            continue
        methods.append(replace(method, name=variant.name))
    print_comparison(compare_methods(methods, AGAINST), json=None, markdown=given.markdown)


if __name__ == "__main__":
    main()
