"""Rows of a data set at a pinned revision: from a table in the cache, or downloaded by `datasets` into one.

Only the split that is asked for is downloaded where it has files of its own; its table is then kept in

    <HF_DATASETS_CACHE>/mlsg/<owner>___<name>-<hash of configuration, split and commit>/

What `datasets` prepared as a whole is used too. Both are searched without that library, which offline takes the newest
cached revision instead. A table's folder appears in one rename, so it is whole; it is checked before it is read.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlsg.cache.files import canonical_json, read_json, sha256_text
from mlsg.errors import DataError, MlsgError, nearest
from mlsg.hub import libraries
from mlsg.hub.errors import named, reason, unreadable_data_set, user_error
from mlsg.hub.retry import RetryPolicy, retry
from mlsg.hub.revisions import Repository, ask, repository_folder

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

T = TypeVar("T")
_UNNAMED = (None, "", "default")
"""Configurations that are asked for without a name, so that the data set's own default one is taken."""

_BATCH = 1000
_VALUES_SHOWN = 12
_READERS = {"arrow", "csv", "json", "parquet", "text"}
"""Modules of `datasets` that read plain tables; others unpickle, decode media or walk archives."""

_CONVERTED = re.compile(r"(?P<config>[^/]+)/(?P<split>\w+)/\d+\.parquet")
"""A file of the branch refs/convert/parquet, where the hub keeps its own copy of a data set, without a card. A split
called partial-... holds only the first 5 GB and is never taken for the whole."""

_OURS = (AttributeError, NameError, ImportError, MemoryError)
"""Besides these, what `datasets` raises comes from the data set: its readers raise errors of all kinds."""


def read_rows(source: HubSource, commit: str, policy: RetryPolicy) -> Iterator[Mapping[str, Any]]:
    """The selected rows of one split, in its order. Raises DataError and HubUnreachableError before the first row."""
    files = cached_table(source, commit)
    if files:
        table = _cached_rows(files, source)
    else:
        table = with_builder(source, commit, policy, lambda builder: _prepared(builder, source, commit))
    check_columns(table.column_names, source)
    wanted = top_columns(source)
    return select_rows(_plain_rows(table.select_columns(wanted) if wanted else table), source)


def refuse_scripts(repository: Repository) -> None:
    """Raise DataError when the repository is a program that would have to be run."""
    script = f"{repository.repo.rpartition('/')[2]}.py"
    if script in repository.files:
        problem = f"{named('dataset', repository.repo)} needs its loading script {script}, which mlsg never runs"
        copy = 'declare revision = "refs/convert/parquet", the hub\'s own copy where it keeps one'
        raise DataError(problem, f"{copy}, or a data set that is stored as parquet, csv or JSON lines")


def cached_table(source: HubSource, commit: str) -> list[Path]:
    """The Arrow files of a split at a commit, in order; empty when they are not in the cache."""
    return _shards(_own_folder(source, commit), ".+", source) or _of_datasets(source, commit)


def _own_folder(source: HubSource, commit: str) -> Path:
    """Where `mlsg` has the table of one split: `datasets` looks for its own in other folders."""
    key = sha256_text(canonical_json([source.path, source.config, source.split, commit]))
    return libraries.datasets_cache() / "mlsg" / f"{source.path.replace('/', '___')}-{key[:16]}"


def _of_datasets(source: HubSource, commit: str) -> list[Path]:
    folder = _table_folder(source, commit)
    return [] if folder is None else _shards(folder, re.escape(folder.parts[-4].rpartition("___")[2]), source)


def _shards(folder: Path, stem: str, source: HubSource) -> list[Path]:
    shard = re.compile(rf"{stem}-{re.escape(source.split)}(?:-\d{{5}}-of-(\d{{5}}))?\.arrow")
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [(path, match) for path in paths if (match := shard.fullmatch(path.name))]
    declared = int(found[0][1].group(1) or 1) if found else 0
    return [path for path, _ in found] if len(found) == declared else []


def _cached_rows(files: list[Path], source: HubSource) -> Any:
    """The table that is kept in these files, mapped into memory. Raises DataError where they are damaged."""
    datasets, info = libraries.datasets(), files[0].parent / "dataset_info.json"
    try:
        table = datasets.concatenate_datasets([datasets.Dataset.from_file(str(path)) for path in files])
        table.data.validate(full=True)
        declared = read_json(info)["splits"][source.split]["num_examples"] if info.exists() else len(table)
        if len(table) != declared:
            raise ValueError(f"{len(table)} rows instead of {declared}")
    except Exception as error:  # of many kinds: Arrow's, of JSON, of the features that a file declares
        problem = f"{named('dataset', source.path)} is damaged in the cache ({reason(error)})"
        raise DataError(problem, f"delete {files[0].parent}; the data set is then downloaded again") from error
    return table


def with_builder(source: HubSource, commit: str, policy: RetryPolicy, use: Callable[[Any], T]) -> T:
    """`use(builder)` for the builder of `datasets` at exactly this commit; every objection in one line."""
    repository = ask("dataset", source.path, commit, policy)
    refuse_scripts(repository)
    return attempt(lambda: use(_builder(source, repository)), source, commit, policy)


def attempt(action: Callable[[], T], source: HubSource, commit: str, policy: RetryPolicy) -> T:
    """The result of `action`, tried again after transient errors; every objection in one line."""
    try:
        return retry(action, named("dataset", source.path), policy)
    except MlsgError:
        raise
    except Exception as error:
        raise objection(error, source, commit) from error


def objection(error: Exception, source: HubSource, commit: str) -> Exception:
    """What the hub or `datasets` objects to, as one line; a bug in mlsg is given back as it is."""
    said = user_error(error, "dataset", source.path, commit)
    if said is None and not isinstance(error, _OURS):
        return unreadable_data_set(error, source.path, source.config, source.split)
    return said or error


def _builder(source: HubSource, repository: Repository) -> Any:
    # The prefix keeps a folder of the same name in the current directory from being taken for the data set.
    path, files = f"hf://datasets/{source.path}", _converted(source, repository)
    config = None if files or source.config in _UNNAMED else source.config
    builder = libraries.datasets().load_dataset_builder(path, config, data_files=files, revision=repository.commit)
    if builder.hash != repository.commit:  # `datasets` could not reach the hub and took another cached revision
        raise ConnectionError("the connection to the hub was lost")
    if module(builder) not in _READERS:
        problem = f"{named('dataset', source.path)} is stored as {module(builder)}"
        raise DataError(problem, f"declare a data set stored as one of: {', '.join(sorted(_READERS))}")
    return builder


def module(builder: Any) -> str:
    """Which reader of `datasets` a builder is: `parquet`."""
    return type(builder).__module__.rpartition(".")[2]


def _converted(source: HubSource, repository: Repository) -> dict[str, list[str]] | None:
    """Split -> files of a configuration, where the layout is that of refs/convert/parquet; None where it is another."""
    known: dict[str, dict[str, list[str]]] = {}
    for name in () if "README.md" in repository.files else repository.files:
        if match := _CONVERTED.fullmatch(name):
            known.setdefault(match["config"], {}).setdefault(match["split"], []).append(name)
    unnamed = next(iter(known)) if len(known) == 1 else "default"
    config = unnamed if source.config in _UNNAMED else str(source.config)
    if known and config not in known:
        raise DataError(f'{named("dataset", source.path)} has no configuration "{config}"', nearest(config, known))
    return known.get(config)


def _prepared(builder: Any, source: HubSource, commit: str) -> Any:
    """The table of a split; where the split has files of its own, no other is downloaded."""
    files, info, folder, mode = builder.config.data_files, builder.info, _own_folder(source, commit), None
    if source.split in files:
        mode = "reuse_cache_if_exists" if folder.exists() else None  # a table that lacks a file is written anew
        builder.config.data_files = type(files)({source.split: files[source.split]})
        # What the card says of the others is not checked, nor counted as space that is needed.
        known = info.splits or {}
        info.splits = type(known)({source.split: known[source.split]}) if source.split in known else None
        info.download_size = info.dataset_size = info.size_in_bytes = None
    builder.download_and_prepare(str(folder), download_mode=mode)
    return builder.as_dataset(split=source.split)


def _plain_rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.iter(batch_size=_BATCH):
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(batch, values, strict=True))


def _table_folder(source: HubSource, commit: str) -> Path | None:
    """The one folder of the configuration at the commit; `datasets` spells `STSBenchmarkv2` as `sts_benchmarkv2`."""
    owner, _, name = source.path.rpartition("/")
    prefix = f"{owner}___" if owner else ""
    found = {
        path.parts[-3]: path
        for path in libraries.datasets_cache().glob(f"{glob.escape(prefix)}*/*/*/{commit}/")
        if _plain(path.parts[-4].removeprefix(prefix)) == _plain(name)
    }
    if source.config not in _UNNAMED or not found:
        return found.get(str(source.config))
    default = _default_configuration(source.path, commit)
    if default or "default" in found:
        return found.get(default or "default")
    # A data set that declares no configurations has only one, whatever it is called.
    return next(iter(found.values())) if len(found) == 1 else None


def _default_configuration(path: str, commit: str) -> str:
    """The configuration that the data set's card makes the default one, or "". Raises DataError for a damaged card."""
    card = repository_folder("dataset", path) / "snapshots" / commit / "README.md"
    if not card.is_file():
        return ""
    try:
        declared = libraries.hub().metadata_load(card) or {}
        configurations = [dict(entry) for entry in declared.get("configs") or []]
    except Exception as error:  # of the YAML library too, which is not ours to import
        problem = f"{named('dataset', path)} cannot be read: its card {card} is damaged ({reason(error)})"
        raise DataError(problem, f"delete {repository_folder('dataset', path)}, or declare another data set") from error
    for entry in configurations:
        if len(configurations) == 1 or entry.get("default") or entry.get("config_name") == "default":
            return str(entry.get("config_name", "default"))
    return ""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def select_rows(rows: Iterable[Mapping[str, Any]], source: HubSource) -> Iterator[dict[str, Any]]:
    """The declared columns (all, where none is declared) of the rows whose values are those of `where`.

    A column `a.b` is field b of the table in column a; its key stays `a.b`. Values of `where` are compared as text.
    Raises DataError for a field that does not exist, and when there are rows but `where` selects none.
    """
    seen: dict[str, set[str]] = {column: set() for column in source.where}
    any_row = any_selected = False
    for row in rows:
        any_row = True
        values = {column: str(_value(row, column, source)) for column in source.where}
        for column, value in values.items():
            if len(seen[column]) < _VALUES_SHOWN:
                seen[column].add(value)
        if values == source.where:
            any_selected = True
            yield {column: _value(row, column, source) for column in source.columns or row}
    if any_row and not any_selected:
        wanted = " and ".join(f"{column} = {value}" for column, value in source.where.items())
        found = "; ".join(f"{column} is {', '.join(sorted(values))}" for column, values in seen.items())
        raise DataError(f"{_where(source)} has no row with {wanted}", f"fix `where` (found: {found})")


def top_columns(source: HubSource) -> list[str]:
    """The table's own columns that `select_rows` reads, without repetition; empty means all: `a.b` -> `a`."""
    if not source.columns:
        return []
    return list(dict.fromkeys(column.partition(".")[0] for column in (*source.columns, *source.where)))


def check_columns(known: Iterable[str], source: HubSource) -> None:
    """Raise DataError when a declared column is not among `known`, the table's own columns."""
    names = list(known)
    for column in top_columns(source) or source.where:
        if column not in names:
            raise DataError(f'{_where(source)} has no column "{column}"', nearest(column, names))


def _value(row: Mapping[str, Any], column: str, source: HubSource) -> Any:
    value: Any = row
    for name in column.split("."):
        if not isinstance(value, Mapping) or name not in value:
            known = nearest(name, value) if isinstance(value, Mapping) else "it holds no fields"
            raise DataError(f'{_where(source)} has no column "{column}"', known)
        value = value[name]
    return value


def _where(source: HubSource) -> str:
    return f"{named('dataset', source.path)}, split {source.split},"
