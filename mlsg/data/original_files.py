"""Finding declared files: beside the user's TOML, under --data-root, or in the starter; plain or compressed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from mlsg.cache.files import canonical_json, sha256_file, sha256_text
from mlsg.config.resources import starter_folder
from mlsg.config.schema import PACKED, Corpus, Files, HubSource, PairSet
from mlsg.data.readers.packed import cannot_open
from mlsg.errors import SettingError


def find_files(files: Iterable[Files], root: str, data_root: Path | None) -> tuple[tuple[Path, ...], str]:
    """The paths of all declared files, or none of them and why, in one line.

    `root` is "data" (--data-root), "starter", or the folder of the user's TOML, before --data-root. Raises SettingError
    for a --data-root that is not a folder, DataError for a path that cannot be looked for.
    """
    folders = _folders(root, data_root)
    declared = [path for each in files for path in each.paths]
    if not declared:
        return (), "no original files are declared"
    if not folders:
        return (), "no --data-root is given"
    found = []
    for path in declared:
        place = _find(path, folders)
        if place is None:
            return (), f"{path} is not under {' or '.join(str(folder) for folder in folders)}"
        found.append(place)
    return tuple(found), ""


def fingerprint(declared: PairSet | Corpus, source: object, contents: Iterable[str]) -> str:
    """sha256 over the declaration, the source that is used, and its contents (sha256 of files, or hub revisions).

    Where the files are is not in it, nor what cannot change a result (licence, `default`).
    """
    aside = {"files", "hub", "root", "licence", "default"}
    plain = {name: value for name, value in dataclasses.asdict(declared).items() if name not in aside}
    return sha256_text(canonical_json({"declared": plain, "source": source, "contents": list(contents)}))


def fingerprint_files(declared: PairSet | Corpus, paths: Iterable[Path]) -> str:
    """The fingerprint of a set or corpus that is read from files."""
    return fingerprint(declared, how_read(declared), map(file_hash, paths))


def how_read(declared: PairSet | Corpus) -> list[dict[str, object]]:
    """How the files of a set or corpus are read, without where they are."""
    return [{**dataclasses.asdict(file), "paths": len(file.paths)} for file in declared.files]


def fingerprint_text(source: object, contents: Iterable[str]) -> str:
    """sha256 over the source that is used and its contents: what can change a sentence, whatever else is declared."""
    return sha256_text(canonical_json({"source": source, "contents": list(contents)}))


def file_hash(path: Path) -> str:
    """Hex sha256 of a file's bytes. Raises DataError where they cannot be read."""
    try:
        return sha256_file(path)
    except OSError as error:
        raise cannot_open(path, error) from None


def fingerprint_hub(declared: PairSet | Corpus, sources: Iterable[HubSource]) -> str:
    """The fingerprint of a set or corpus that is read from the hub at resolved revisions."""
    return fingerprint(declared, [dataclasses.asdict(source) for source in sources], ())


def _folders(root: str, data_root: Path | None) -> list[Path]:
    if data_root is not None and not data_root.is_dir():
        raise SettingError(f"--data-root {data_root} is not a folder", "name the folder that holds the original files")
    if root == "starter":
        return [starter_folder()]
    return ([] if root == "data" else [Path(root)]) + ([] if data_root is None else [data_root])


def _find(path: str, folders: Iterable[Path]) -> Path | None:
    plain = path.removesuffix(Path(path).suffix) if Path(path).suffix.lower() in PACKED else path
    for folder in folders:
        for name in dict.fromkeys((path, plain, *(plain + suffix for suffix in PACKED))):
            try:
                if (folder / name).is_file():
                    return folder / name
            except OSError as error:
                raise cannot_open(folder / name, error) from None
    return None
