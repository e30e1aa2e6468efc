"""This checkout against another one: training step, whole recipe, encoding, cold evaluation, `--help`.

    python -m benchmarks.bench_versions OTHER_CHECKOUT --pairs 5

Both sides run the same commands, alternately, each in a process of its own with its own workspace, so that what the
machine does besides falls on both. A ratio above 1 says that this checkout is faster.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import material
from benchmarks.machine import describe
from benchmarks.ratio import Comparison, take_turns, timed

_HERE = Path(__file__).resolve().parents[1]
_ENCODE = """
import sys, time
from mlsg import Encoder
texts = open(sys.argv[2], encoding="utf-8").read().splitlines()
encoder = Encoder.load(sys.argv[1], pooling="mean", device="cpu", precision=sys.argv[3])
encoder.encode(texts[:32])
began = time.perf_counter()
encoder.encode(texts)
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Side:
    """One checkout, and the folder in which its commands run."""

    checkout: Path
    folder: Path

    def run(self, *arguments: str) -> str:
        """Standard output of `python ARGUMENTS` with this checkout's mlsg."""
        environment = {**os.environ, "PYTHONPATH": str(self.checkout), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.checkout}: {' '.join(arguments)} failed: {done.stderr[-2000:]}")
        return done.stdout

    def mlsg(self, *arguments: str) -> float:
        """Seconds of a command."""
        return timed(lambda: self.run("-m", "mlsg", *arguments))

    def fresh(self) -> str:
        """A workspace that no command has used."""
        return str(self.folder / f"workspace-{len(list(self.folder.iterdir()))}")


def step(side: Side, shape: str, precision: str) -> float:
    """Seconds of a training step, as the checkout's own benchmark of steps says."""
    package = "benchmarks" if (side.checkout / "benchmarks").is_dir() else "tests.benchmarks"
    said = side.run("-m", f"{package}.bench_step", "--shape", shape, "--precision", precision, "--pairs", "3")
    return float(re.findall(r"mlsg ([0-9.e-]+) s", said)[0])


def encode(side: Side, base: Path, source: Path, precision: str) -> float:
    """Seconds in which the sentences of `source` become vectors, loading not counted."""
    return float(side.run("-c", _ENCODE, str(base), str(source), precision))


def jobs(shape: str, folder: Path) -> dict[str, Callable[[Side], float]]:
    """What is timed, by name."""
    base = material.base_folder(shape, folder)
    some = folder / "sentences.txt"
    some.write_text("\n".join(material.sentences(256)) + "\n", encoding="utf-8")
    data = material.data_root()
    found: dict[str, Callable[[Side], float]] = {"mlsg --help": lambda side: side.mlsg("--help")}
    for precision in ("bf16", "float32"):
        found[f"training step, {shape}, {precision}"] = partial(step, shape=shape, precision=precision)
        found[f"encode 256 sentences, {shape}, {precision}"] = partial(
            encode, base=base, source=some, precision=precision
        )
    found["recipe: quickstart, new workspace"] = lambda side: side.mlsg("quickstart", "--workspace", side.fresh())
    if data is not None:
        cold = ["--encoder", "starter", "--pooling", "mean", "--langs", "es,ar,tr,de", "--data-root", str(data)]
        found["cold eval of es, ar, tr, de"] = lambda side: side.mlsg("eval", *cold, "--workspace", side.fresh())
    return found


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
        for name, job in jobs(given.shape, folder).items():
            if given.only in name:
                print(compared(job, sides, given.pairs).line(name, "this checkout", "the other"), flush=True)


def compared(job: Callable[[Side], float], sides: Mapping[str, Side], pairs: int) -> Comparison:
    """Both sides of one job in turn."""
    return take_turns(lambda: job(sides["ours"]), lambda: job(sides["theirs"]), pairs=pairs)


if __name__ == "__main__":
    main()
