"""How the processes of one training meet, and how they end together.

Beside the tensors of a `Team` they share a store of short texts, kept by the first process or by the launcher:

    here/<rank>, key/<rank>    who has come, and which encoder it was asked for
    task                       the first process begins to train (it may also find the encoder ready)
    beat/<rank>                signs of life, see `mlsg.train.vigil`
    failure                    what went wrong first
    verdict, left/<rank>       how all of this ended, and who has taken note

A connection that breaks is seen at once by whoever exchanges tensors. The exchange itself may wait for hours, because
someone may write a large checkpoint or wait for a lock: that a process hangs or a host is cut off shows in its beats.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType

import psutil
import torch
import torch.distributed as dist

from mlsg.errors import SettingError
from mlsg.train.distributed import Team
from mlsg.train.failures import ProcessLostError, failure_of
from mlsg.train.outside import Place, silence
from mlsg.train.vigil import GRACE, Vigil

JOIN_SECONDS = 300.0
_EXCHANGE = timedelta(hours=6)

_meetings = itertools.count()


class Crew:
    """A context: inside it, `team` works together. A process other than the first leaves it by SystemExit."""

    team: Team

    def __init__(
        self,
        place: Place,
        *,
        report: Callable[[BaseException], None] | None = None,
        tell_port: Callable[[int], None] | None = None,
    ) -> None:
        """`report`: how a process that was started by mlsg tells its failure; `tell_port`: where the store listens."""
        self.place, self._report, self._tell_port = place, report, tell_port
        self._port = place.port

    def __enter__(self) -> Crew:
        place, device = self.place, _device(self.place)
        prefix = f"mlsg/{place.attempt}/{next(_meetings)}"
        keeps = place.rank == 0 and not place.store_is_there
        self._keeper = self._connected(keeps=keeps)
        if keeps and self._tell_port is not None:
            self._tell_port(self._port)
        self._store = dist.PrefixStore(prefix, self._keeper)
        self._vigil = Vigil(place, self._store, self._report)
        self._meet()
        if place.rank:
            silence()  # from now on the first process hears what is wrong here, and says it
        self._vigil.start()
        if self._report is None and place.rank == 0 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminated)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        elif interface := _interface_towards(place.host, self._port):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=dist.PrefixStore(f"{prefix}/group", self._connected(keeps=False)),  # it blocks whom it shares with
            rank=place.rank,
            world_size=place.size,
            timeout=_EXCHANGE,
        )
        self.team = Team(place.rank, place.size, device, self._vigil.explain)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._vigil.ending.set()
        code = 0 if error is None else failure_of(error, self.place.rank)["code"]
        try:
            if self.place.rank == 0:
                self._conclude(error, code)
            else:
                code = self._verdict(error, code)
        except RuntimeError:  # the store is gone, and with it the process that kept it
            code = code or 1
        self._vigil.stop()
        if error is None:  # else others may be stuck in it
            dist.destroy_process_group()
        if self.place.rank:
            raise SystemExit(code)

    def agree(self, key: str) -> None:
        """Raises SettingError unless all processes were asked for the same artefact."""
        self._store.set(f"key/{self.place.rank}", key)
        names = [f"key/{rank}" for rank in range(self.place.size)]
        self._wait(names)
        for rank, name in enumerate(names):
            if self._store.get(name).decode() != key and self.place.rank in {0, rank}:
                raise SettingError(
                    f"process {rank} was asked for another encoder than process {self.place.rank}",
                    "give all processes the same command, base, sentences and dev set",
                )

    def begin(self, scratch: Path) -> None:
        """The first process calls the others to work."""
        self._store.set("task", str(scratch))

    def task(self) -> Path | None:
        """What the first process calls for: its folder of checkpoints, or None where there is nothing to do."""
        while not self._store.check(["task"]):
            if self._store.check(["verdict"]):
                return None
            self._pause()
        return Path(self._store.get("task").decode())

    def _conclude(self, error: BaseException | None, code: int) -> None:
        """The first process says how this ends, and gives the others time to hear it."""
        if error is not None:
            self._store.compare_set("failure", "", json.dumps(failure_of(error, 0)))
        self._store.set("verdict", str(code))
        until = time.monotonic() + 3 * GRACE
        for rank in range(1, self.place.size):
            while time.monotonic() < until and rank not in self._vigil.silent():
                if self._report is not None and error is not None:
                    return  # whoever started the others ends them
                if self._store.check([f"left/{rank}"]):
                    break
                time.sleep(0.02)

    def _verdict(self, error: BaseException | None, code: int) -> int:
        """Another process ends as the first one does, or for a reason of its own, which the first one is told."""
        if error is None:
            self._wait(["verdict"])
            code = int(self._store.get("verdict"))
        elif not isinstance(error, ProcessLostError):
            failure = json.dumps(failure_of(error, self.place.rank))
            code = json.loads(self._store.compare_set("failure", "", failure))["code"]
        elif self._vigil.failure:
            code = self._vigil.failure["code"]
        self._store.set(f"left/{self.place.rank}", "")
        return code

    def _connected(self, *, keeps: bool) -> dist.TCPStore:
        place = self.place
        try:
            store = dist.TCPStore(
                place.host,
                self._port,
                place.size,
                keeps,
                timeout=timedelta(seconds=JOIN_SECONDS),
                wait_for_workers=False,
                multi_tenant=True,
            )
        except RuntimeError as error:
            what = "listen on" if keeps else "reach process 0 at"
            problem = f"process {place.rank} cannot {what} {place.host}, port {self._port}"
            raise ProcessLostError(
                f"{problem}: {str(error).splitlines()[0]}", "give all processes the same address and a free port"
            ) from error
        self._port = store.port
        return store

    def _meet(self) -> None:
        place = self.place
        self._store.set(f"here/{place.rank}", "")
        if not self._wait([f"here/{rank}" for rank in range(place.size)], JOIN_SECONDS):
            late = next(rank for rank in range(place.size) if not self._store.check([f"here/{rank}"]))
            raise ProcessLostError(
                f"process {late} of {place.size} has not come within {JOIN_SECONDS:.0f} s",
                "start as many processes as WORLD_SIZE says, and look at what they print",
            )

    def _wait(self, names: Sequence[str], seconds: float = float("inf")) -> bool:
        """Wait until the store has all names. False when it has not in time."""
        until = time.monotonic() + seconds
        while not self._store.check(list(names)):
            if time.monotonic() > until:
                return False
            self._pause()
        return True

    def _pause(self) -> None:
        """Wait a little, and raise what another process has failed with."""
        time.sleep(0.02)
        if self._vigil.failure:
            raise self._vigil.error()

    def _terminated(self, number: int, frame: object) -> None:
        """A launcher ends all processes when one has died; say so, unless that is being done."""
        if not self._vigil.ending.is_set():
            raise self._vigil.explain(None)


def _device(place: Place) -> torch.device:
    """A GPU for each process of this host, or the CPU for all. Raises SettingError for too few GPUs."""
    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in {"1", "true", "yes", "on"}
    count = 0 if forced else torch.cuda.device_count()
    if count == 0:
        return torch.device("cpu")
    if place.local_size > count:
        raise SettingError(
            f"{place.local_size} processes for {count} GPU{'s' if count > 1 else ''}",
            f"start at most {count}, or train on the CPU: ACCELERATE_USE_CPU=true",
        )
    return torch.device("cuda", place.local_rank)


def _interface_towards(host: str, port: int) -> str:
    """Name of the network interface by which `host` is reached; "" where that cannot be told.

    Gloo takes the address that this host's name stands for, which on many systems is one that others cannot reach.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # sends nothing
            own = probe.getsockname()[0]
    except OSError:
        return ""
    return next((name for name, found in psutil.net_if_addrs().items() if any(a.address == own for a in found)), "")
