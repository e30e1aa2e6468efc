"""The family's table: every method on one base, text and protocol. One command, which goes on where it was stopped.

    python -m benchmarks.family SHARED FOLDER --base e5-10 --seeds 1-4 --long-seeds 1-2 --jobs 2

SHARED is a checkout's ../shared. FOLDER gets the text, the base's own word vectors and the workspace. `--short` prints
the untuned base, SG-OPT, SimCSE and whitening alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.family import text
from mlsg.api import load_recipe, make_static, run_method
from mlsg.config.recipes import Recipe
from mlsg.config.settings import parse_seeds
from mlsg.context import open_context
from mlsg.evaluate.methods import compare_methods
from mlsg.report.output import print_comparison

_OURS = Path(__file__).parent / "recipes"
_CROSS = ("sts17.en-tr", "sts17.es-en", "sts17.en-ar")
_STATIC = ("static", "static_sif")
_AGAINST = "zero_shot"
_SHORT = ("max", _AGAINST, "simcse", "whitening")
_WHOLE = (
    *_SHORT,
    *("whitening_ten", "whitening_max_ten", "flow", "first_last", "wk", "sif", *_STATIC),
    *("msimcse_snli", "translations", "sg_translations", "opt2", "opt1", "sg", "declutr_short"),
)
LONG = frozenset({_AGAINST, "sg", "opt1", "opt2", "sg_translations", "translations", "declutr_short"})
"""Over ten minutes a seed on e5-10 and two cores."""


def family_recipe(name: str, base: str, own_words: Path, *, precision: str = "bf16") -> Recipe:
    """A recipe of the package or of `recipes/`, on `base` and the sets of the table."""
    settings = {
        "train.model": str(own_words) if name in _STATIC else base,
        "train.precision": precision,
        "eval.precision": precision,
        "eval.langs": list(text.LANGUAGES),
        "eval.sets": ["primary", *_CROSS],
    }
    own = _OURS / f"{name}.toml"
    return load_recipe(str(own) if own.is_file() else name, **settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", default="starter")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], metavar="RECIPE", help="these methods and SG-OPT")
    parser.add_argument("--seeds", default="1-4")
    parser.add_argument("--long-seeds", help="of methods that take over ten minutes a seed; default: --seeds")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--markdown")
    given = parser.parse_args()
    seeds, long = parse_seeds(given.seeds), parse_seeds(given.long_seeds or given.seeds)
    text.write(given.shared, given.folder / "text")
    own_words = given.folder / f"{Path(given.base).name}-words"
    names = _SHORT if given.short else [_AGAINST, *given.only] if given.only else _WHOLE
    if set(_STATIC) & set(names) and not own_words.exists():
        make_static(given.base, own_words)
    context = open_context(given.folder / "ws", [given.folder / "text"], given.shared / "data")
    methods = [
        run_method(family_recipe(name, given.base, own_words), context, long if name in LONG else seeds, jobs=given.jobs)
        for name in dict.fromkeys(names)
    ]
    print_comparison(compare_methods(methods, _AGAINST), json=None, markdown=given.markdown)


if __name__ == "__main__":
    main()
