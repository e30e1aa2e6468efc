"""(d) `mlsg prepare` against a plain loop with the same result; (e) its memory, all processes together, against size.

    python -m benchmarks.bench_prepare            100,000 and 1,000,000 lines
    python -m benchmarks.bench_prepare --large    and 10,000,000: some 2 GB of disk

The text is generated: four scripts, 3 to 60 words or signs a line, one line in ten a repetition. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.machine import describe
from benchmarks.ratio import Comparison

_LATIN = "the river was high after a week of rain and no one dared to cross it before the third day had come"
_ACCENTS = "déjà l'été où la forêt brûlée près du château fut replantée grâce à des élèves très têtus"
_CYRILLIC = "старый мост через реку закрыли на ремонт ещё весной и с тех пор жители ходят в город пешком"
_UNSPACED = "桥在春天就关闭维修了从那以后居民们都步行进城而孩子们觉得这样更好玩"
_EVERY = 0.02


def lines(count: int, seed: int = 0) -> Iterator[str]:
    """Generated sentences; one that is not a repetition ends in its number, so that none is repeated by chance."""
    draws, recent = random.Random(seed), [""] * 5000
    latin, accents, cyrillic = _LATIN.split(), _ACCENTS.split(), _CYRILLIC.split()
    for number in range(count):
        share = draws.random()
        if share < 0.1 and number > 5000:
            yield recent[number * 7919 % 5000]
            continue
        pool = latin if share < 0.7 else accents if share < 0.8 else cyrillic if share < 0.9 else list(_UNSPACED)
        first, size = int(draws.random() * len(pool)), 3 + int(draws.random() ** 2 * 57)
        repeated = pool * (2 + size // len(pool))
        line = ("" if share >= 0.9 else " ").join(repeated[first : first + size]) + f" {number}."
        recent[number % 5000] = line
        yield line


def write(path: Path, count: int) -> Path:
    """The file of generated lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines(count))
    return path


@dataclass(frozen=True)
class Ran:
    """A command: seconds, processor seconds of all its processes, and the peak of their resident memory together."""

    seconds: float
    processor: float
    peak: int


def ours(source: Path, workspace: Path) -> list[str]:
    """The command that is measured."""
    return [sys.executable, "-m", "mlsg", "prepare", "--source", str(source), "--workspace", str(workspace)]


def theirs(source: Path, target: Path) -> list[str]:
    """The plain loop."""
    return [sys.executable, "-m", "benchmarks.plain_prepare", str(source), str(target)]


def run(command: Sequence[str]) -> Ran:
    """Run a command and watch its memory. Raises CalledProcessError when it fails."""
    before, began, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, sum(_resident(each) for each in _family(process.pid)))
            time.sleep(_EVERY)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Ran(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak)


def compare(source: Path, pairs: int, folder: Path) -> Comparison:
    """Both commands in turn, and that both kept the same."""
    sides: tuple[list[Ran], list[Ran]] = ([], [])
    for pair in range(pairs):
        workspace, target = folder / f"workspace{pair}", folder / f"plain{pair}.txt"
        for side in (0, 1) if pair % 2 else (1, 0):
            sides[side].append(run((ours(source, workspace), theirs(source, target))[side]))
        (made,) = workspace.glob("sentences/*/sentences.txt")
        if _digest(made) != _digest(target):
            raise RuntimeError(f"{made} and {target} differ")
        target.unlink()
        made.unlink()
    processor = median(one.processor / other.processor for other, one in zip(*sides, strict=True))
    mlsg, plain = (tuple(ran.seconds for ran in side) for side in sides)
    return Comparison(mlsg, plain, processor)


def _figures(ran: Ran, count: int) -> str:
    return f"{ran.peak / 2**20:.0f} MiB, {ran.seconds:.1f} s, {count / ran.seconds:,.0f} lines/s"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _family(process: int) -> Iterator[int]:
    yield process
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = path.read_text(encoding="ascii").split()
        except OSError:  # it has just ended
            continue
        for child in children:
            yield from _family(int(child))


def _resident(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def main(arguments: list[str] | None = None) -> None:
    """Print the machine, the ratio and the table of memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000, help="of the comparison")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="memory with 10 million lines too")
    given = parser.parse_args(arguments)
    print(describe())
    with TemporaryDirectory() as place:
        folder = Path(place)
        source = write(folder / "source.txt", given.lines)
        print("ours:  ", " ".join(ours(Path("SOURCE"), Path("W"))[1:]))
        print("theirs:", " ".join(theirs(Path("SOURCE"), Path("TARGET"))[1:]))
        found = compare(source, given.pairs, folder)
        print(found.line(f"prepare, {given.lines:,} lines", theirs="plain loop"))
        for count in (100_000, 1_000_000, *((10_000_000,) if given.large else ())):
            source = write(folder / "source.txt", count)
            ran = run(ours(source, folder / f"memory{count}"))
            print(f"memory, {count:,} lines: {_figures(ran, count)}")
            if count <= 1_000_000:
                print(f"        the plain loop: {_figures(run(theirs(source, folder / 'plain.txt')), count)}")


if __name__ == "__main__":
    main()
