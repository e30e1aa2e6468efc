"""What all tables of the family share: base, languages, sets, precision, workspace."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.family import text
from mlsg.api import load_recipe
from mlsg.config.recipes import Recipe
from mlsg.context import Context, open_context

AGAINST = "zero_shot"
_CROSS = ("sts17.en-tr", "sts17.es-en", "sts17.en-ar")
_OWN = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Protocol:
    """A base, and the folder that everything is made in."""

    base: str
    folder: Path
    shared: Path

    def recipe(self, name: str, **changes: Any) -> Recipe:
        """A recipe of mlsg or of `recipes/` here, on the base and the sets of the table."""
        settings: Mapping[str, Any] = {
            "train.model": self.base,
            "train.precision": "bf16",
            "eval.precision": "bf16",
            "eval.langs": list(text.LANGUAGES),
            "eval.sets": ["primary", *_CROSS],
        }
        own = _OWN / f"{name}.toml"
        return load_recipe(str(own) if own.is_file() else name, **{**settings, **changes})

    def context(self) -> Context:
        """The workspace in the folder, with the text of ../shared."""
        text.write(self.shared, self.folder / "text")
        return open_context(self.folder / "ws", [self.folder / "text"], self.shared / "data")


def with_arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What every table asks for."""
    parser.add_argument("shared", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", default="starter")
    parser.add_argument("--seeds", default="1-4")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--markdown")
    return parser
