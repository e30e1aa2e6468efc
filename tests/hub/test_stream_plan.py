"""Which rows a stream gives, for all layouts of files: each once, however often it is broken or gone on with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlsg.config.catalog import HubSource
from mlsg.hub import RowStream, Sample
from mlsg.hub.retry import RetryPolicy

SOURCE = HubSource("owner/name", split="train", columns=("row",))


@dataclass
class PretendedFiles:
    """Files of row groups; of those in `unknown` only reading tells the length. Breaks once at each of `breaks`."""

    layout: Sequence[Sequence[int]]
    unknown: frozenset[int] = frozenset()
    breaks: set[int] = field(default_factory=set)
    given: int = 0

    @property
    def names(self) -> list[str]:
        return [f"data/{number}.parquet" for number in range(len(self.layout))]

    def groups(self, file: int) -> Sequence[int | None]:
        return [None] if file in self.unknown else list(self.layout[file])

    def read(self, file: int, group: int, first: int) -> Iterator[Mapping[str, Any]]:
        before = 0 if file in self.unknown else sum(self.layout[file][:group])
        end = sum(self.layout[file]) if file in self.unknown else before + self.layout[file][group]
        for row in range(before + first, end):
            if self.given in self.breaks:
                self.breaks.discard(self.given)
                raise ConnectionResetError
            self.given += 1
            yield {"row": (file, row)}


LAYOUTS = st.lists(st.lists(st.integers(0, 40), max_size=4), max_size=9)
SAMPLES = st.none() | st.builds(Sample, rows=st.integers(1, 15), seed=st.integers(0, 5))


def stream(files: Any, sample: Sample | None) -> RowStream:
    return RowStream(files, SOURCE, "c" * 40, RetryPolicy(tries=5, first_wait=0), sample)


def taken(rows: RowStream) -> list[tuple[str, int]]:
    return [(each.file, each.first + number) for each in rows.taken for number in range(each.rows)]


@given(LAYOUTS, SAMPLES, st.data())
def test_every_row_comes_once_and_going_on_gives_the_rest(
    layout: list[list[int]], sample: Sample | None, data: st.DataObject
) -> None:
    unknown = data.draw(st.frozensets(st.integers(0, 8)))
    every = [(file, row) for file, groups in enumerate(layout) for row in range(sum(groups))]
    whole = stream(PretendedFiles(layout, unknown), sample)
    order = [row["row"] for row in whole]
    assert sorted(order) == every and (sample or order == every)
    assert taken(whole) == [(f"data/{file}.parquet", row) for file, row in order]
    skip = data.draw(st.integers(0, len(every) + 3))
    breaks = data.draw(st.sets(st.integers(0, len(every)), max_size=3))
    rest = stream(PretendedFiles(layout, unknown, breaks), sample)
    assert rest.skip(skip) == min(skip, len(every))
    take = data.draw(st.integers(0, len(every)))
    assert [row["row"] for row, _ in zip(rest, range(take), strict=False)] == order[skip : skip + take]
    assert taken(rest)[: skip + take] == taken(whole)[: skip + take]


@given(st.lists(st.integers(30, 90), min_size=5, max_size=60), st.integers(0, 9))
def test_the_first_rows_of_a_sample_come_from_a_quarter_of_the_files(sizes: list[int], seed: int) -> None:
    rows = stream(PretendedFiles([[size] for size in sizes]), Sample(2, seed))
    together = max(4, min(16, -(-len(sizes) // 4)))
    came = [next(rows)["row"] for _ in range(2 * together)]
    assert len({file for file, _ in came}) == together
    assert {row for _, row in came} == {0, 1}
