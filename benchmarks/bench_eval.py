"""(c) `mlsg eval` of every set available: cold, with one language more, and warm; each run is a process of its own.

    python -m benchmarks.bench_eval --precision bf16
    python -m benchmarks.bench_eval --langs es,ar,tr --encoder FOLDER --pooling mean

Cold: an empty workspace. One language more: all but the last language were scored before, so only its sentences are
encoded. Warm: the same command again. The runs of a round follow one another, and ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.machine import describe
from benchmarks.material import data_root
from mlsg.config.catalog import load_catalog


def main() -> None:
    """Read the command line, run, and print."""
    data = data_root()
    every = ",".join(code for code in load_catalog().languages)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter")
    parser.add_argument("--pooling", default="mean")
    parser.add_argument("--langs", default=every)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--data-root", type=Path, default=data, required=data is None)
    options = parser.parse_args()
    print(describe())
    fixed = ["--encoder", options.encoder, "--pooling", options.pooling, "--data-root", str(options.data_root)]
    fixed += ["--set", f"eval.precision={options.precision}", "--json", os.devnull]
    print(f"mlsg eval --langs {options.langs} --encoder {options.encoder} --pooling {options.pooling}")
    rounds = [one_round(fixed, options.langs) for _ in range(options.rounds)]
    for name in rounds[0]:
        seconds = [each[name] for each in rounds]
        ratios = [each["cold"] / each[name] for each in rounds]
        print(f"{name}: {median(seconds):.2f} s, {median(ratios):.1f} times as fast as cold ({len(rounds)} rounds)")


def one_round(fixed: list[str], langs: str) -> dict[str, float]:
    """Seconds of each kind of run."""
    with TemporaryDirectory() as place:
        found = {"cold": timed(fixed, langs, Path(place) / "one"), "warm": timed(fixed, langs, Path(place) / "one")}
        fewer = langs.rpartition(",")[0]
        if fewer:
            timed(fixed, fewer, Path(place) / "two")
            found[f"one language more ({langs.rpartition(',')[2]})"] = timed(fixed, langs, Path(place) / "two")
        return found


def timed(fixed: list[str], langs: str, workspace: Path) -> float:
    """Seconds of one `mlsg eval`, from the start of Python to its end."""
    command = [sys.executable, "-m", "mlsg", "eval", "--langs", langs, "--workspace", str(workspace), *fixed]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    began = time.perf_counter()
    subprocess.run(command, check=True, env=offline, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
