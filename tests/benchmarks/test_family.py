"""The tables of the family: every row is a recipe that can be read, and text is split as its README says."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from benchmarks.family import __main__ as table
from benchmarks.family import text
from benchmarks.family.protocol import Protocol
from benchmarks.family.variants import GROUPS
from mlsg import objectives, transforms
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import load_catalog
from tests.contexts import context_of
from tests.tiny_models import tiny_bert


@pytest.fixture
def protocol(tmp_path: Path) -> Protocol:
    return Protocol(str(tiny_bert(tmp_path / "base", layers=4)), tmp_path, tmp_path)


@pytest.mark.parametrize("name", table._WHOLE)
def test_every_row_of_the_table_is_a_recipe(name: str, protocol: Protocol) -> None:
    recipe = protocol.recipe(name)
    objectives.read(recipe.objective)
    transforms.read(recipe.transform)
    assert recipe.train.model == protocol.base


@pytest.mark.parametrize("group", ["ablations", "domain", "size"])
def test_every_variant_is_a_recipe_and_differs_from_the_others(
    group: str, protocol: Protocol, workspace: Workspace
) -> None:
    variants = GROUPS[group](protocol, context_of(workspace, load_catalog()))
    recipes = [protocol.recipe(each.recipe, **each.changes) for each in variants]
    for recipe in recipes:
        objectives.read(recipe.objective)
    assert len({each.name for each in variants}) == len({repr(recipe) for recipe in recipes}) == len(variants)


def test_text_is_split_into_corpora_that_mlsg_reads(tmp_path: Path) -> None:
    def packed(name: str, content: str) -> None:
        path = tmp_path / "shared" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(content.encode()))

    for code in text.LANGUAGES:
        packed(f"corpora/{code}.txt.xz", f"First of {code}.\nSecond of {code}.\n\nThird.\n\n\nAlone in {code}.\n")
    packed("corpora/en_fiction.txt.xz", "A novel.\n\nA novel.\n")
    packed("corpora/en_reviews.txt.xz", "a review .\n")
    packed("corpora/parallel.tsv.xz", "en\tes\tA word.\tUna palabra.\nen\tit\tA word.\tUna parola.\n")
    packed(
        "data/nli/snli_triplets.tsv.xz",
        "anchor\tpositive\tnegative\tsplit\nA dog runs.\tA dog moves.\tA dog sleeps.\ttest\n",
    )
    target = tmp_path / "text"
    text.write(tmp_path / "shared", target)
    assert (target / "documents.txt").read_text("utf-8") == "First of en. Second of en.\nThird.\n"
    assert (target / "tr.txt").read_text("utf-8") == "Alone in tr.\n"
    assert (target / "parallel.tsv").read_text("utf-8") == "sentence1\tsentence2\nA word.\tUna palabra.\n"
    assert sorted((target / "nli.txt").read_text("utf-8").splitlines()) == [
        "A dog moves.",
        "A dog runs.",
        "A dog sleeps.",
    ]
    assert (target / "fiction.txt").read_text("utf-8") == "A novel.\n"
    english = load_catalog([target]).language("en")
    assert {"plain", "documents", "parallel", "snli", "nli", "mixed", "fiction", "reviews"} <= {
        each.name for each in english.corpora
    }
