"""What a launcher (`accelerate launch`, `torchrun`, a script of one's own) says of the processes it started.

Imports no torch: an encoder that is there is found without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from mlsg.errors import SettingError


@dataclass(frozen=True)
class Place:
    """Which one of how many processes this is, and where they meet."""

    rank: int
    size: int
    local_rank: int
    """Which one on this host."""
    local_size: int
    host: str
    port: int
    attempt: int = 0
    """How often the launcher has started anew."""
    store_is_there: bool = False
    """Whether the launcher itself keeps the store; else the first process does."""


def place_from_environment(environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place that a launcher gave this process, or None where it is the only one.

    Raises SettingError for variables that are missing or make no sense.
    """
    size = _number(environment, "WORLD_SIZE", 1)
    if size == 1:
        return None
    rank = _number(environment, "RANK")
    place = Place(
        rank,
        size,
        _number(environment, "LOCAL_RANK", rank),
        _number(environment, "LOCAL_WORLD_SIZE", size),
        environment.get("MASTER_ADDR") or "127.0.0.1",
        _number(environment, "MASTER_PORT"),
        _number(environment, "TORCHELASTIC_RESTART_COUNT", 0),
        environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
    )
    if not 0 <= rank < size:
        raise SettingError(f"RANK is {rank} and WORLD_SIZE {size}", "number the processes from 0")
    return place


def silence() -> None:
    """Keep what this process has to say to people to itself."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until the process ends


def silence_all_but_first() -> None:
    """One line on stderr is enough where a launcher runs the same command many times: the first one's of each host.

    Whoever has joined the others (`mlsg.train.crew`) tells the first process of all what is wrong.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("LOCAL_RANK", "0") != "0":
        silence()


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name) or ("" if default is None else str(default))
    try:
        return int(text)
    except ValueError:
        problem = f"{name} is {text!r}" if text else f"WORLD_SIZE is set, {name} is not"
        raise SettingError(problem, "start with accelerate launch or torchrun, or set all its variables") from None
