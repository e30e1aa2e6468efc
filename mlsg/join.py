"""Prepared text of several languages as one: each language by itself, then one after the other.

    sentences/en-es-ar-<key>/sentences.txt    all rows of en, then of es, then of ar; how many of each are in the facts

A set is checked where the text of every language was compared with it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mlsg.cache.artefact import Artefact, Request
from mlsg.config.recipes import PrepareSettings
from mlsg.config.settings import shown
from mlsg.context import Context
from mlsg.errors import SettingError
from mlsg.prepare import FILE, STAGE, sentences_file, text_sha256

FORMAT = 1


def languages_of(settings: PrepareSettings) -> list[PrepareSettings]:
    """The settings of each language of `lang`: "en:20000,es" is English with a limit of 20,000, and Spanish.

    Raises SettingError for a limit that is no number and for a language that is named twice.
    """
    found = []
    for each in settings.lang.split(","):
        code, colon, limit = each.strip().partition(":")
        if colon and not (limit.isascii() and limit.isdigit() and 0 < int(limit[:13]) <= 10**12):
            raise SettingError(f"--lang {shown(settings.lang)}: {shown(limit)} is no limit", "write en:20000,es:5000")
        found.append(replace(settings, lang=code, limit=int(limit) if colon else settings.limit))
    codes = [each.lang for each in found]
    if len(set(codes)) < len(codes):
        raise SettingError(f"--lang {shown(settings.lang)} names a language twice", "name each once")
    return found


def joined(parts: Sequence[Artefact], context: Context) -> Artefact:
    """The texts of several artefacts as one, in their order."""
    codes = [part.facts["lang"] for part in parts]
    inputs = {part.facts["lang"]: text_sha256(part) for part in parts}
    compared = _evaluation(parts)
    settings = {
        "languages": codes,
        "transductive": _names(parts, "transductive"),
        "compared": {name: counts["fingerprint"] for name, counts in compared.items()},
    }
    request = Request(STAGE, FORMAT, "-".join(codes), settings, inputs, {})
    return context.workspace.build(request, partial(_build, parts, compared))


def _build(parts: Sequence[Artefact], compared: Mapping[str, Any], folder: Path, scratch: Path) -> Mapping[str, Any]:
    with (folder / FILE).open("wb") as file:
        for part in parts:
            with sentences_file(part).open("rb") as own:
                shutil.copyfileobj(own, file)
    facts = [part.facts for part in parts]
    later = [name for each in facts for name in (*each["evaluation"], *each["compared_later"])]
    missing = {name: why for each in facts for name, why in each["not_checked"].items()}
    kind = facts[0].get("kind")
    return {
        "lang": ",".join(each["lang"] for each in facts),
        "languages": {each["lang"]: each["kept"] for each in facts},
        "corpus": ", ".join(dict.fromkeys(each["corpus"] for each in facts)),
        "licence": ", ".join(dict.fromkeys(each["licence"] for each in facts)),
        "repetitions": any(each["repetitions"] for each in facts),
        "transductive": _names(parts, "transductive"),
        "read": sum(each["read"] for each in facts),
        "kept": sum(each["kept"] for each in facts),
        "dropped": dict(sorted(sum((Counter(each["dropped"]) for each in facts), Counter[str]()).items())),
        "not_sampled": sum(each["not_sampled"] for each in facts),
        "checked": all(each["checked"] for each in facts),
        "evaluation": compared,
        "not_checked": missing,
        "compared_later": sorted({name for name in later if name not in compared and name not in missing}),
        **({"kind": kind} if kind else {}),
    }


def _names(parts: Sequence[Artefact], fact: str) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part.facts[fact]))


def _evaluation(parts: Sequence[Artefact]) -> dict[str, Any]:
    """Of each set that every part was compared with, in the same bytes, the sums of what was found."""
    tables = [part.facts["evaluation"] for part in parts]
    found = {}
    for name, first in tables[0].items():
        counts = [table.get(name) for table in tables]
        if any(each is None or each["fingerprint"] != first["fingerprint"] for each in counts):
            continue
        added = {key: sum(each.get(key, 0) for each in counts) for key in ("kept", "dropped", "near") if key in first}
        held = min(first["sentences"], sum(each["found"] for each in counts))
        found[name] = {**first, **added, "found": held}
    return found
