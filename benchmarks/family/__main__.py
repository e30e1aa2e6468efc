"""The family's table: every method on one base, text and protocol. One command, which goes on where it was stopped.

    python -m benchmarks.family SHARED FOLDER --base e5-10 --seeds 1-4 --long-seeds 1-2 --jobs 2

SHARED is a checkout's ../shared. FOLDER gets the text, the base's own word vectors and the workspace. `--short` prints
the untuned base, SG-OPT, SimCSE and whitening alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.family.protocol import AGAINST, Protocol, with_arguments
from mlsg.api import make_static
from mlsg.compare import run_method
from mlsg.config.settings import parse_seeds
from mlsg.evaluate.methods import compare_methods
from mlsg.report.output import print_comparison

_STATIC = ("static", "static_sif")
_SHORT = ("max", AGAINST, "simcse", "whitening")
_WHOLE = (
    *_SHORT,
    *("whitening_ten", "whitening_max_ten", "flow", "first_last", "wk", "sif", *_STATIC),
    *("msimcse_snli", "translations", "sg_translations", "opt2", "opt1", "sg", "declutr_short"),
)
LONG = frozenset({AGAINST, "sg", "opt1", "opt2", "sg_translations", "translations", "declutr_short"})
"""Over ten minutes a seed on e5-10 and two cores."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    with_arguments(parser)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], metavar="RECIPE", help="these methods and SG-OPT")
    parser.add_argument("--long-seeds", help="of methods that take over ten minutes a seed; default: --seeds")
    given = parser.parse_args()
    seeds, long = parse_seeds(given.seeds), parse_seeds(given.long_seeds or given.seeds)
    names = _SHORT if given.short else [AGAINST, *given.only] if given.only else _WHOLE
    words = given.folder / f"{Path(given.base).name}-words"
    if set(_STATIC) & set(names) and not words.exists():
        make_static(given.base, words)
    bases = {name: str(words) if name in _STATIC else given.base for name in names}
    protocols = {name: Protocol(base, given.folder, given.shared) for name, base in bases.items()}
    context = protocols[AGAINST].context()
    methods = [
        run_method(each.recipe(name), context, long if name in LONG else seeds, jobs=given.jobs)
        for name, each in protocols.items()
    ]
    print_comparison(compare_methods(methods, AGAINST), json=None, markdown=given.markdown)


if __name__ == "__main__":
    main()
