"""Rows of a data set at a pinned revision: from the cache where they are, else fetched once by `datasets`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlsg.errors import DataError, MlsgError
from mlsg.hub import libraries
from mlsg.hub.columns import check_columns, picked, top_columns
from mlsg.hub.errors import in_one_line, named, unreadable
from mlsg.hub.repositories import Repository, ask
from mlsg.hub.retry import FellBackError, Patience, retry_while_passing
from mlsg.hub.tables import UNNAMED, cached_table, read_table

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

_BATCH = 1000
_READERS = {"arrow", "csv", "json", "parquet", "text"}
"""Modules of `datasets` that read plain tables; others unpickle, decode media or walk archives."""

_OURS = (AttributeError, NameError, ImportError, MemoryError)
"""Beside these, what `datasets` raises comes from the data set: its readers raise errors of all kinds."""


def check(repository: Repository) -> None:
    """Raise DataError when the repository is a program that would have to be run."""
    script = f"{repository.repo.rpartition('/')[2]}.py"
    if script in repository.files:
        problem = f"{named('dataset', repository.repo)} needs its loading script {script}, which mlsg never runs"
        raise DataError(problem, "declare a data set that is stored as parquet, csv or JSON lines")


def read_rows(source: HubSource, commit: str, patience: Patience) -> Iterator[Mapping[str, Any]]:
    """The picked rows of one split, in its order. Raises DataError and HubUnreachableError before the first row."""
    files = cached_table(source, commit)
    table = (
        read_table(files) if files else fetched(source, commit, patience, lambda builder: _prepared(builder, source))
    )
    check_columns(table.column_names, source)
    wanted = top_columns(source)
    return picked(_plain_rows(table.select_columns(wanted) if wanted else table), source)


def fetched(source: HubSource, commit: str, patience: Patience, use: Any) -> Any:
    """`use(builder)` for the builder of `datasets` at this very commit; every objection in one line."""
    check(ask("dataset", source.path, commit, patience))
    what = named("dataset", source.path)
    try:
        return retry_while_passing(lambda: use(_builder(source, commit)), what, patience)
    except MlsgError:
        raise
    except Exception as error:
        raise objection(error, source, commit) from error


def objection(error: Exception, source: HubSource, commit: str) -> Exception:
    """What the hub or `datasets` objects to, as one line; a fault of ours is given back as it is."""
    said = in_one_line(error, "dataset", source.path, commit)
    if said is None and not isinstance(error, _OURS):
        return unreadable(error, source.path, source.config, source.split)
    return said or error


def _builder(source: HubSource, commit: str) -> Any:
    # The prefix keeps a folder of the same name in the current directory from being taken for the data set.
    builder = libraries.datasets().load_dataset_builder(
        f"hf://datasets/{source.path}", None if source.config in UNNAMED else source.config, revision=commit
    )
    if builder.hash != commit:
        raise FellBackError("the hub was lost")
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
        names = list(batch)
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(names, values, strict=True))
