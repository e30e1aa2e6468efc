"""Rows of a data set at a pinned revision: from the cache of `datasets`, downloaded by it, or streamed.

The cache is searched by commit, without `datasets`: offline, that library takes the newest cached revision instead. A
table's folder appears in one rename, so it is whole. A stream's position is saved every 1,000 rows; after a transient
error it is opened anew there and the rows since then are skipped, so that no row is lost or doubled.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg.errors import DataError, MlsgError, nearest
from mlsg.hub import libraries
from mlsg.hub.errors import named, unreadable_data_set, user_error
from mlsg.hub.retry import RetryPolicy, is_transient, retry, wait_or_give_up
from mlsg.hub.revisions import Repository, ask, repository_folder

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

_UNNAMED = (None, "", "default")
"""Configurations that are asked for without a name, so that the data set's own default one is taken."""

_BATCH = _SAVE_EVERY = 1000
_VALUES_SHOWN = 12
_READERS = {"arrow", "csv", "json", "parquet", "text"}
"""Modules of `datasets` that read plain tables; others unpickle, decode media or walk archives."""

_OURS = (AttributeError, NameError, ImportError, MemoryError)
"""Besides these, what `datasets` raises comes from the data set: its readers raise errors of all kinds."""


def read_rows(source: HubSource, commit: str, policy: RetryPolicy) -> Iterator[Mapping[str, Any]]:
    """The selected rows of one split, in its order. Raises DataError and HubUnreachableError before the first row."""
    files = cached_table(source, commit)
    if files:
        datasets = libraries.datasets()  # it maps these files into memory
        table = datasets.concatenate_datasets([datasets.Dataset.from_file(str(path)) for path in files])
    else:
        table = _with_builder(source, commit, policy, lambda builder: _prepared(builder, source))
    check_columns(table.column_names, source)
    wanted = top_columns(source)
    return select_rows(_plain_rows(table.select_columns(wanted) if wanted else table), source)


def read_stream(source: HubSource, commit: str, policy: RetryPolicy) -> Iterator[Mapping[str, Any]]:
    """As `read_rows`, while the rows arrive; errors are raised when the connection keeps breaking, too."""
    if cached_table(source, commit):
        return read_rows(source, commit, policy)
    return select_rows(_unbroken(_opened(source, commit, policy), source, commit, policy), source)


def refuse_scripts(repository: Repository) -> None:
    """Raise DataError when the repository is a program that would have to be run."""
    script = f"{repository.repo.rpartition('/')[2]}.py"
    if script in repository.files:
        problem = f"{named('dataset', repository.repo)} needs its loading script {script}, which mlsg never runs"
        raise DataError(problem, "declare a data set that is stored as parquet, csv or JSON lines")


def cached_table(source: HubSource, commit: str) -> list[Path]:
    """The Arrow files of a split at a commit, in order; empty when they are not in the cache."""
    folder = _table_folder(source, commit)
    if folder is None:
        return []
    stem = folder.parts[-4].rpartition("___")[2]
    shard = re.compile(rf"{re.escape(stem)}-{re.escape(source.split)}(?:-\d{{5}}-of-(\d{{5}}))?\.arrow")
    found = [(path, match) for path in sorted(folder.iterdir()) if (match := shard.fullmatch(path.name))]
    declared = int(found[0][1].group(1) or 1) if found else 0
    return [path for path, _ in found] if len(found) == declared else []


def _with_builder(source: HubSource, commit: str, policy: RetryPolicy, use: Any) -> Any:
    """`use(builder)` for the builder of `datasets` at exactly this commit; every objection in one line."""
    refuse_scripts(ask("dataset", source.path, commit, policy))
    try:
        return retry(lambda: use(_builder(source, commit)), named("dataset", source.path), policy)
    except MlsgError:
        raise
    except Exception as error:
        raise _objection(error, source, commit) from error


def _objection(error: Exception, source: HubSource, commit: str) -> Exception:
    """What the hub or `datasets` objects to, as one line; a bug in mlsg is given back as it is."""
    objection = user_error(error, "dataset", source.path, commit)
    if objection is None and not isinstance(error, _OURS):
        return unreadable_data_set(error, source.path, source.config, source.split)
    return objection or error


def _builder(source: HubSource, commit: str) -> Any:
    # The prefix keeps a folder of the same name in the current directory from being taken for the data set.
    builder = libraries.datasets().load_dataset_builder(
        f"hf://datasets/{source.path}", None if source.config in _UNNAMED else source.config, revision=commit
    )
    if builder.hash != commit:  # `datasets` could not reach the hub and took another cached revision
        raise ConnectionError("the connection to the hub was lost")
    reader = type(builder).__module__.rpartition(".")[2]
    if reader not in _READERS:
        problem = f"{named('dataset', source.path)} is stored as {reader}"
        raise DataError(problem, f"declare a data set stored as one of: {', '.join(sorted(_READERS))}")
    return builder


def _prepared(builder: Any, source: HubSource) -> Any:
    builder.download_and_prepare()
    return builder.as_dataset(split=source.split)


def _plain_rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.iter(batch_size=_BATCH):
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(batch, values, strict=True))


def _opened(source: HubSource, commit: str, policy: RetryPolicy) -> Any:
    return _with_builder(source, commit, policy, lambda builder: builder.as_streaming_dataset(split=source.split))


def _unbroken(stream: Any, source: HubSource, commit: str, policy: RetryPolicy) -> Iterator[Mapping[str, Any]]:
    state, since, failures, checked = None, 0, 0, False  # the saved position, and the rows delivered since
    while True:
        try:
            if state is not None:
                stream.load_state_dict(state)
            for row in islice(stream, since, None):
                if not checked:
                    check_columns(row, source)
                    checked = True
                since, failures = since + 1, 0
                if since == _SAVE_EVERY:
                    state, since = stream.state_dict(), 0
                yield row
            return
        except Exception as error:
            if not is_transient(error):
                raise _objection(error, source, commit) from error
            failures += 1
            wait_or_give_up(failures, error, named("dataset", source.path), policy)
        stream = _opened(source, commit, policy)


def _table_folder(source: HubSource, commit: str) -> Path | None:
    """The one folder of the configuration at the commit; `datasets` spells `STSBenchmarkv2` as `sts_benchmarkv2`."""
    owner, _, name = source.path.rpartition("/")
    prefix = f"{owner}___" if owner else ""
    found = {
        path.parts[-3]: path
        for path in libraries.datasets_cache().glob(f"{glob.escape(prefix)}*/*/*/{commit}/")
        if _plain(path.parts[-4].removeprefix(prefix)) == _plain(name)
    }
    if source.config not in _UNNAMED:
        return found.get(str(source.config))
    default = _default_configuration(source.path, commit)
    if default or "default" in found:
        return found.get(default or "default")
    # A data set that declares no configurations has only one, whatever it is called.
    return next(iter(found.values())) if len(found) == 1 else None


def _default_configuration(path: str, commit: str) -> str:
    """The configuration that the data set's card makes the default one, or "" where it declares none."""
    card = repository_folder("dataset", path) / "snapshots" / commit / "README.md"
    if not card.is_file():
        return ""
    try:
        declared = libraries.hub().metadata_load(card) or {}
    except Exception:  # of the YAML library, which is not ours to import; `datasets` says so when it is asked
        return ""
    configurations = declared.get("configs") or []
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
