"""Whether a training text holds sentences of a set: what was compared, what is compared now, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import Catalog
from mlsg.data.pairs import LocatedSet, locate_set
from mlsg.evaluate import leakage
from mlsg.evaluate.encoder_ref import EncoderRef
from mlsg.evaluate.leakage import transductive
from mlsg.model.provenance import provenance_of
from mlsg.prepare import sentences_file, text_sha256
from mlsg.text.normalise import normalise
from tests.data.written import PretendedHub
from tests.evaluate.small_sets import pairs, small_catalog

HUB = PretendedHub()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return small_catalog(tmp_path / "sets")


def _text(workspace: Workspace, *lines: str) -> Artefact:
    def make(folder: Path, _scratch: Path) -> Mapping[str, Any]:
        (folder / "sentences.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return {}

    return workspace.build(Request("sentences", 2, "text", {"lines": lines}, {}, {}), make)


def _encoder(sha256: str, **facts: Any) -> EncoderRef:
    made = provenance_of({"sentences": {"sha256": sha256, "lang": "en", **facts}})
    return EncoderRef("e", (), "key", provenance=made)


def _located(catalog: Catalog, name: str) -> LocatedSet:
    found = locate_set(catalog.pair_set(name), None, HUB)
    assert isinstance(found, LocatedSet)
    return found


def test_a_set_that_was_not_compared_is_compared_with_the_text_that_is_there(
    workspace: Workspace, catalog: Catalog
) -> None:
    sets = [_located(catalog, "small.aa"), _located(catalog, "small.aa-bb")]
    held = next(first for first, _, _ in pairs()[9:] if len(first) > 9 and first not in sum(pairs()[:9], ()))
    for lines, expected in (
        (["Nothing of it."], {"small.aa": False, "small.aa-bb": False}),
        (["Nothing of it.", normalise(held.upper())], {"small.aa": True, "small.aa-bb": False}),
    ):
        text = _text(workspace, *lines)
        assert transductive(_encoder(text_sha256(text)), sets, workspace, HUB) == expected


def test_without_the_text_it_is_not_known(workspace: Workspace, catalog: Catalog) -> None:
    sets = [_located(catalog, "small.aa")]
    text = _text(workspace, "Nothing of it.")
    assert transductive(_encoder("ab" * 32), sets, workspace, HUB) == {"small.aa": None}
    assert transductive(_encoder(""), sets, workspace, HUB) == {"small.aa": None}
    assert transductive(EncoderRef("foreign", (), "key"), sets, workspace, HUB) == {"small.aa": None}
    sha256 = text_sha256(text)
    sentences_file(text).write_text("Another text of it.\n")  # a damaged one proves nothing
    assert transductive(_encoder(sha256), sets, workspace, HUB) == {"small.aa": None}


def test_what_was_found_once_is_kept_when_the_text_is_gone(
    workspace: Workspace, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [_located(catalog, "small.aa")]
    text = _text(workspace, "Nothing of it.")
    assert transductive(_encoder(text_sha256(text)), sets, workspace, HUB) == {"small.aa": False}
    sentences_file(text).unlink()
    monkeypatch.setattr(leakage, "read_pairs", None)
    assert transductive(_encoder(text_sha256(text)), sets, workspace, HUB) == {"small.aa": False}


def test_what_prepare_compared_holds_for_these_bytes_of_the_set_alone(workspace: Workspace, catalog: Catalog) -> None:
    located = _located(catalog, "small.aa")
    for kept, fingerprint, expected in ((0, located.text, False), (2, located.text, True), (0, "cd", None)):
        compared = {"small.aa": {"kept": kept, "fingerprint": fingerprint}}
        found = transductive(_encoder("ab" * 32, evaluation=compared), [located], workspace, HUB)
        assert found == {"small.aa": expected}
