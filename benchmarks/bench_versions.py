"""This checkout against another one: training step, whole recipe, encoding, prepare, cold evaluation, `--help`.

    python -m benchmarks.bench_versions OTHER_CHECKOUT --pairs 5

Commands run alternately, each in a process of its own with its own workspace, so that what the machine does besides
falls on both sides. Steps and encoding, which are short, are asked in turn of two processes that stay, and more often.
A ratio above 1 says that this checkout is faster.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import material
from benchmarks.bench_prepare import write
from benchmarks.machine import describe
from benchmarks.ratio import Comparison, take_turns, timed

_HERE = Path(__file__).resolve().parents[1]
_ENCODE = """
import sys, time
from mlsg import Encoder
texts = open(sys.argv[2], encoding="utf-8").read().splitlines()
encoder = Encoder.load(sys.argv[1], pooling="mean", device="cpu", precision=sys.argv[3])
for line in sys.stdin:
    began = time.perf_counter()
    encoder.encode(texts)
    print(time.perf_counter() - began, flush=True)
"""
_STEP = """
import sys, time
from importlib import import_module
from pathlib import Path
package, base, precision, folder, count = *sys.argv[1:5], int(sys.argv[5])
material, ours = (import_module(f"{package}.{name}") for name in ("material", "ours"))
with ours.on("cpu"):
    training = ours.setting(Path(folder), Path(base), material.sentences(16 * count), None).begin(precision=precision)
for line in sys.stdin:
    began = time.perf_counter()
    training.step()
    print(time.perf_counter() - began, flush=True)
"""
_STEPS_A_PAIR, _WARMUP = 8, 2

Clock = Callable[[], float]
"""Does something once and gives the seconds it took."""


@dataclass(frozen=True)
class Side:
    """One checkout, and the folder in which its commands run."""

    checkout: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of every process: this checkout's mlsg, and no network."""
        return {**os.environ, "PYTHONPATH": str(self.checkout), "HF_HUB_OFFLINE": "1"}

    def mlsg(self, *arguments: str) -> float:
        """Seconds of a command."""
        command = [sys.executable, "-m", "mlsg", *arguments]
        run = partial(subprocess.run, cwd=self.folder, env=self.environment, capture_output=True, check=True)
        return timed(lambda: run(command))

    @contextmanager
    def asked(self, script: str, *arguments: object) -> Iterator[Clock]:
        """A process that does its work once for each line that it is sent, and says how long it took."""
        command = [sys.executable, "-c", script, *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **pipes) as process:  # type: ignore[call-overload]

            def ask() -> float:
                process.stdin.write("\n")
                process.stdin.flush()
                return float(process.stdout.readline())

            yield ask
            process.stdin.close()

    def fresh(self) -> str:
        """A folder that no command has used."""
        return str(self.folder / f"fresh-{len(list(self.folder.iterdir()))}")


@dataclass(frozen=True)
class Job:
    """What is timed: how often for each pair that was asked for, and its clock on a side."""

    clock: Callable[[Side], AbstractContextManager[Clock]]
    times: int = 1
    warmup: int = 1


def jobs(shape: str, folder: Path, pairs: int) -> dict[str, Job]:
    """What is timed, by name."""
    base = material.base_folder(shape, folder)
    some = folder / "sentences.txt"
    some.write_text("\n".join(material.sentences(256)) + "\n", encoding="utf-8")
    found = {"mlsg --help": _command("--help")}
    for precision in ("bf16", "float32"):
        found[f"training step, {shape}, {precision}"] = Job(
            partial(_steps, base=base, precision=precision, count=pairs * _STEPS_A_PAIR + _WARMUP),
            _STEPS_A_PAIR,
            _WARMUP,
        )
        encoding = partial(_encoding, base=base, source=some, precision=precision)
        found[f"encode 256 sentences, {shape}, {precision}"] = Job(encoding, times=2)
    found["prepare 100,000 lines"] = _command(
        "prepare", "--lang", "en", "--source", str(write(folder / "lines.txt", 100_000)), workspace=True
    )
    found["recipe: quickstart, new workspace"] = _command("quickstart", workspace=True)
    data = material.data_root()
    if data is not None:
        cold = ("--encoder", "starter", "--pooling", "mean", "--langs", "es,ar,tr,de", "--data-root", str(data))
        found["cold eval of es, ar, tr, de"] = _command("eval", *cold, workspace=True)
    return found


def _command(*arguments: str, workspace: bool = False) -> Job:
    def clock(side: Side) -> AbstractContextManager[Clock]:
        return nullcontext(lambda: side.mlsg(*arguments, *(["--workspace", side.fresh()] if workspace else [])))

    return Job(clock)


def _encoding(side: Side, base: Path, source: Path, precision: str) -> AbstractContextManager[Clock]:
    return side.asked(_ENCODE, base, source, precision)


def _steps(side: Side, base: Path, precision: str, count: int) -> AbstractContextManager[Clock]:
    package = "benchmarks" if (side.checkout / "benchmarks").is_dir() else "tests.benchmarks"
    return side.asked(_STEP, package, base, precision, side.fresh(), count)


def main(arguments: list[str] | None = None) -> None:
    """Print the machine and a ratio for each job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="another checkout of mlsg")
    parser.add_argument("--shape", choices=["mbert", "starter", "tiny"], default="mbert")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default="", help="jobs whose name holds this")
    given = parser.parse_args(arguments)
    print(describe())
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sides = {"ours": Side(_HERE, folder / "ours"), "theirs": Side(given.other.resolve(), folder / "theirs")}
        for side in sides.values():
            side.folder.mkdir()
        for name, job in jobs(given.shape, folder, given.pairs).items():
            if given.only in name:
                print(compared(job, sides, given.pairs).line(name, "this checkout", "the other"), flush=True)


def compared(job: Job, sides: Mapping[str, Side], pairs: int) -> Comparison:
    """Both sides of one job in turn."""
    with job.clock(sides["ours"]) as ours, job.clock(sides["theirs"]) as theirs:
        return take_turns(ours, theirs, pairs=pairs * job.times, warmup=job.warmup)


if __name__ == "__main__":
    main()
