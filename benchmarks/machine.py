"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe() -> str:
    """One line: processor, cores, vector instructions, memory, torch and its threads, the GPU, and how busy it is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags = _cpu_facts().get("flags", "").split()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return "; ".join(
        [
            f"{_cpu_facts().get('model name') or platform.processor() or platform.machine()}, {cores} cores",
            " ".join(flag for flag in _FLAGS if flag in flags) or "vector instructions unknown",
            f"{_memory_gib():.0f} GiB",
            f"torch {torch.__version__}, {torch.get_num_threads()} threads",
            gpu,
            f"load {os.getloadavg()[0]:.1f}",
        ]
    )


def _cpu_facts() -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo; empty where the file does not exist."""
    path = Path("/proc/cpuinfo")
    first = path.read_text(encoding="utf-8").partition("\n\n")[0] if path.is_file() else ""
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


if __name__ == "__main__":
    print(describe())
