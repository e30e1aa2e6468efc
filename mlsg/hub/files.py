"""The files of one split of a data set on the hub, read from any row of a row group on.

Of a parquet file the footer is fetched and then the pages of the declared columns, as far as they are read. Files of
other kinds are read by `datasets`, from their beginning; each is one group whose length only reading tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlsg.hub import libraries
from mlsg.hub.rows import check_columns, module, top_columns

if TYPE_CHECKING:
    from mlsg.config.catalog import HubSource

_ROWS_AT_ONCE = 100
_BYTES_AT_ONCE = 1 << 20


@dataclass
class ParquetFiles:
    """Parquet files, read by byte ranges through huggingface_hub's file system."""

    names: Sequence[str]
    source: HubSource
    commit: str
    footers: dict[int, Any] = field(default_factory=dict)

    def groups(self, file: int) -> Sequence[int | None]:
        """How many rows each row group has."""
        footer = self._footer(file)
        return [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]

    def read(self, file: int, group: int, first: int) -> Iterator[Mapping[str, Any]]:
        """The rows of a group from row `first` of it on."""
        from pyarrow import parquet

        footer, columns = self._footer(file), top_columns(self.source) or None
        check_columns(footer.schema.to_arrow_schema().names, self.source)
        options: dict[str, Any] = {"metadata": footer, "buffer_size": _BYTES_AT_ONCE, "pre_buffer": False}
        with self._open(file) as remote, parquet.ParquetFile(remote, **options) as table:
            for batch in table.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=columns, use_threads=False):
                yield from batch.slice(first).to_pylist() if first < batch.num_rows else ()
                first = max(0, first - batch.num_rows)

    def _footer(self, file: int) -> Any:
        """The footer and no more; pyarrow itself fetches 64 KiB: small files as a whole."""
        import pyarrow
        from pyarrow import parquet

        if file not in self.footers:
            with self._open(file) as remote:
                remote.seek(remote.size - 8)
                length = int.from_bytes(remote.read(8)[:4], "little") + 8
                remote.seek(remote.size - min(length, remote.size))
                self.footers[file] = parquet.read_metadata(pyarrow.BufferReader(remote.read(length)))
        return self.footers[file]

    def _open(self, file: int) -> Any:
        address = f"datasets/{self.source.path}@{self.commit}/{self.names[file]}"
        return libraries.hub().HfFileSystem().open(address, "rb", cache_type="none")


@dataclass(frozen=True)
class OtherFiles:
    """Files that `datasets` reads; `stream` is its IterableDataset, one shard a file."""

    names: Sequence[str]
    source: HubSource
    stream: Any

    def groups(self, file: int) -> Sequence[int | None]:
        """One group of unknown length."""
        return [None]

    def read(self, file: int, group: int, first: int) -> Iterator[Mapping[str, Any]]:
        """The rows of a file from row `first` on."""
        for number, row in enumerate(self.stream.shard(num_shards=len(self.names), index=file)):
            if number == 0:
                check_columns(row, self.source)
            if number >= first:
                yield row


def files_of(builder: Any, source: HubSource, commit: str) -> ParquetFiles | OtherFiles:
    """The files of a split in their order; `builder` is that of `datasets`."""
    names = [str(each).rpartition(f"@{commit}/")[2] for each in builder.config.data_files.get(source.split, ())]
    if names and module(builder) == "parquet":
        return ParquetFiles(names, source, commit)
    stream = builder.as_streaming_dataset(split=source.split)
    numbers = [f"file {number}" for number in range(stream.num_shards)]
    return OtherFiles(names if len(names) == len(numbers) else numbers, source, stream)
