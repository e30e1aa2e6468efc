"""Files that belong together line by line: the sentences in one (two columns) or two, the scores in the last.

Line i belongs to line i. A blank score is a pair that was never scored, and a blank line is still a line: nothing may
be dropped from one file only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlsg.config.schema import Files
from mlsg.data.readers.row import Row, column_indexes
from mlsg.data.readers.text import text_lines
from mlsg.errors import DataError


def read_parallel(paths: Sequence[Path], files: Files) -> Iterator[Row]:
    """Rows of (sentence 1, sentence 2, score); with `scored_lines` = N only the first N lines are pairs.

    Raises DataError when the files have different numbers of lines (or fewer than `scored_lines`).
    """
    limit = files.scored_lines
    streams = [itertools.islice(text_lines(path, files.encoding), limit or None) for path in paths]
    for number, lines in enumerate(itertools.zip_longest(*streams), start=1):
        if None in lines:
            raise _uneven(paths, files)
        *texts, score = lines
        yield Row(paths[0], f"line {number}", (*_sentences(texts, files, paths[0], number), score))
    if limit:
        _check_scored(paths, files)


def _sentences(texts: Sequence[str], files: Files, path: Path, number: int) -> tuple[str, ...]:
    if len(texts) == 2:
        return tuple(texts)
    cells = texts[0].split(files.delimiter)
    columns = column_indexes(files.columns, [], path)
    if len(cells) <= max(columns):
        problem = f"{path}, line {number}: {len(cells)} columns where column {max(columns) + 1} is needed"
        raise DataError(problem, "mend the line, or declare delimiter and columns as the file has them")
    return tuple(cells[index] for index in columns)


def _check_scored(paths: Sequence[Path], files: Files) -> None:
    """A declaration that does not fit is refused too: the scores must be as many as it says."""
    scores = sum(1 for _ in text_lines(paths[-1], files.encoding))
    if scores != files.scored_lines:
        problem = f"{paths[-1]} has {scores} lines where scored_lines = {files.scored_lines} is declared"
        raise DataError(problem, "declare as many as there are, or give the right file")


def _uneven(paths: Sequence[Path], files: Files) -> DataError:
    counts = [sum(1 for _ in text_lines(path, files.encoding)) for path in paths]
    named = " against ".join(f"{path} has {count} lines" for path, count in zip(paths, counts, strict=True))
    remedy = "give files that belong together, or declare scored_lines = N if only the first N are scored"
    return DataError(named, remedy)
