"""The catalog: languages, their corpora and their pair sets, as `langs/*.toml` and the user's own TOMLs declare them.

The user's TOMLs (`--langs-dir`) add languages, corpora and sets, or override ours by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlsg.config.resources import resource_folder
from mlsg.config.schema import Corpus, Files, HubSource, PairSet, read_corpus, read_pair_set
from mlsg.config.settings import read_settings, read_toml
from mlsg.errors import SettingError, nearest

__all__ = ["Catalog", "Corpus", "Files", "HubSource", "Language", "PairSet", "load_catalog"]


@dataclass(frozen=True)
class Language:
    """One language; `spaced` says whether it is written with spaces between words."""

    code: str
    name: str
    spaced: bool = True
    corpora: tuple[Corpus, ...] = ()
    sets: tuple[PairSet, ...] = ()

    def corpus(self, name: str = "") -> Corpus:
        """The corpus `name`, or the default one. Raises SettingError when there is none."""
        if not self.corpora:
            raise SettingError(f"language {self.code} has no corpus", "declare one in its TOML, or give --source")
        if not name:
            return next((corpus for corpus in self.corpora if corpus.default), self.corpora[0])
        corpora = {corpus.name: corpus for corpus in self.corpora}
        if name not in corpora:
            raise SettingError(f'unknown corpus "{name}" of language {self.code}', nearest(name, corpora))
        return corpora[name]


@dataclass(frozen=True)
class Catalog:
    """All languages by code, in the order of their files' names, the user's new ones last."""

    languages: Mapping[str, Language]

    def language(self, code: str) -> Language:
        """The language `code`. Raises SettingError, naming the nearest, when it is not declared."""
        if code not in self.languages:
            remedy = f"{nearest(code, self.languages)} (a language of your own comes with --langs-dir)"
            raise SettingError(f'unknown language "{code}"', remedy)
        return self.languages[code]

    def all_sets(self) -> list[PairSet]:
        """Every declared pair set, language by language."""
        return [pair_set for language in self.languages.values() for pair_set in language.sets]

    def pair_set(self, name: str) -> PairSet:
        """The set `name`. Raises SettingError, naming the nearest, when it is not declared."""
        sets = {each.name: each for each in self.all_sets()}
        if name not in sets:
            raise SettingError(f'unknown pair set "{name}"', nearest(name, sets))
        return sets[name]

    def sets_of(self, code: str, family: str = "") -> list[PairSet]:
        """The sets that `mlsg eval` takes for a language: primary first, then its own file's, then other languages'.

        Without `family`: every default set in which the language occurs. With it: the default sets of that family, or
        all of the family's where none is a default one (the starter).
        """
        own = self.language(code).sets
        others = [each for language in self.languages.values() if language.code != code for each in language.sets]
        found = [each for each in (*own, *others) if code in each.languages and family in ("", each.family)]
        chosen = [each for each in found if each.default] or (found if family else [])
        return sorted(chosen, key=lambda each: not (each.primary and each.languages[0] == code))

    def primary_of(self, code: str) -> PairSet | None:
        """The set that stands for a language: the declared one, or its first monolingual one, or its first; or None."""
        return min(self.sets_of(code), key=lambda each: each.languages != (code, code), default=None)


def load_catalog(langs_dirs: Sequence[Path] = ()) -> Catalog:
    """Our languages, then those of the user's folders, which add to ours or override them by name.

    Raises SettingError for a folder that does not exist and for whatever is wrong in a TOML, naming file and table.
    """
    languages: dict[str, Language] = {}
    for path in sorted(resource_folder("langs").glob("*.toml")):
        _read_file(path, "data", languages)
    for folder in langs_dirs:
        if not folder.is_dir():
            raise SettingError(f"--langs-dir {folder} is not a folder", "name a folder that holds <code>.toml files")
        for path in sorted(folder.glob("*.toml")):
            _read_file(path, str(folder.resolve()), languages)
    return Catalog(languages)


@dataclass(frozen=True)
class _LanguageTable:
    """The top level of a TOML."""

    code: str = ""
    name: str = ""
    spaced: bool | None = None
    corpora: dict[str, Any] = field(default_factory=dict)
    families: dict[str, Any] = field(default_factory=dict)
    sets: dict[str, Any] = field(default_factory=dict)


def _read_file(path: Path, root: str, languages: dict[str, Language]) -> None:
    """Put what a TOML declares into `languages`; its sets replace those of the same name, in whatever language."""
    try:
        table = read_settings(_LanguageTable, read_toml(path, str(path)), str(path))
    except FileNotFoundError:
        raise SettingError(f"{path} is a link to nothing", "remove it") from None
    code = table.code or path.stem
    before = languages.get(code, Language(code, code))
    corpora = {corpus.name: corpus for corpus in before.corpora}
    for name, own in _tables(table.corpora, f"[corpora] of {path}"):
        corpus = read_corpus(name, own, code=code, root=root, where=f"[corpora.{name}] of {path}")
        if corpus.default:
            corpora = {key: replace(other, default=False) for key, other in corpora.items()}
        corpora[name] = corpus
    read: dict[str, PairSet] = {}
    families = dict(_tables(table.families, f"[families] of {path}"))
    for name, own in _tables(table.sets, f"[sets] of {path}"):
        merged = _with_family(own, families.get(name.split(".")[0], {}))
        read[name] = read_pair_set(name, merged, code=code, root=root, known=read, where=f'[sets."{name}"] of {path}')
    sets = {each.name: each for each in before.sets}
    if _has_primary(read, path):
        sets = {name: replace(each, primary=False) for name, each in sets.items()}
    for other in languages.values():
        languages[other.code] = replace(other, sets=tuple(each for each in other.sets if each.name not in read))
    languages[code] = Language(
        code,
        table.name or before.name,
        before.spaced if table.spaced is None else table.spaced,
        tuple(corpora.values()),
        tuple((sets | read).values()),
    )


def _tables(tables: Mapping[str, Any], where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise SettingError(f'"{name}" in {where} must be a table', "quote a name that holds a full stop")
        yield name, table


def _with_family(own: Mapping[str, Any], family: Mapping[str, Any]) -> dict[str, Any]:
    """A set's own keys over those that `[families.<family>]` says for all; the table `hub` is merged key by key."""
    merged = {**family, **own}
    if isinstance(own.get("hub"), Mapping) and isinstance(family.get("hub"), Mapping):
        merged["hub"] = {**family["hub"], **own["hub"]}
    return merged


def _has_primary(read: Mapping[str, PairSet], path: Path) -> bool:
    """Whether one of the sets is primary. Raises SettingError for several, and for one of two languages."""
    primary = [name for name, pair_set in read.items() if pair_set.primary]
    if len(primary) > 1:
        raise SettingError(f"{path} has {len(primary)} primary sets: {', '.join(primary)}", "keep one")
    if primary and len(set(read[primary[0]].languages)) > 1:
        raise SettingError(f"{path}: primary set {primary[0]} is of two languages", "choose a monolingual one")
    return bool(primary)
