"""Two hosts, tried as two network namespaces joined by a cable of their own: nothing leaves them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.command import environment
from tests.train.small import TEXT
from tests.train.test_many_ranks import STEPS, Place, ended, prepare
from tests.train.test_many_ranks import place as place  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Host:
    """A namespace with one address, and a workspace that the other one does not see."""

    name: str
    cable: str
    address: str
    place: Place

    def start(self, command: list[str], **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, sys.executable, "-m", *command, *self.place.arguments],
            cwd=self.place.root,
            env=environment(ACCELERATE_USE_CPU="true", **env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def ip(*arguments: str) -> str:
    """Run iproute2's `ip`; returns what it complains of."""
    return subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True).stderr.strip()


@pytest.fixture
def hosts(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host]]:
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` (iproute2)")
    if os.geteuid():
        pytest.skip("network namespaces need root")
    elsewhere = Place(tmp_path_factory.mktemp("elsewhere"))
    shutil.copytree(place.root / "tiny", elsewhere.root / "tiny")
    shutil.copytree(place.root / "langs", elsewhere.root / "langs")
    prepare(elsewhere, TEXT)
    made = tuple(
        Host(f"mlsg-{os.getpid()}-{n}", f"cable{n}", f"10.97.31.{n + 1}", where)
        for n, where in enumerate((place, elsewhere))
    )
    first, second = made
    try:
        for host in made:
            if complaint := ip("netns", "add", host.name):
                pytest.skip(f"network namespaces cannot be made: {complaint}")
        cable = ["link", "add", first.cable, "netns", first.name, "type", "veth"]
        if complaint := ip(*cable, "peer", "name", second.cable, "netns", second.name):
            pytest.skip(f"no cable between network namespaces: {complaint}")
        for host in made:
            assert not ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", host.cable)
            for device in ("lo", host.cable):
                assert not ip("-n", host.name, "link", "set", device, "up")
        yield first, second
    finally:
        for host in made:
            ip("netns", "del", host.name)


def started(hosts: tuple[Host, Host]) -> list[subprocess.Popen[str]]:
    """One process on each host, told where to meet as a launcher does it."""
    meeting = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_PORT": "29500"}
    meeting["MASTER_ADDR"] = hosts[0].address
    return [host.start(["mlsg"], RANK=str(rank), **meeting) for rank, host in enumerate(hosts)]


def test_two_hosts_train_one_encoder_on_the_first(hosts: tuple[Host, Host]) -> None:
    first, second = (ended(process) for process in started(hosts))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "2 processes" in first.err
    assert "training" not in second.err  # torch may warn of an address without a name
    (made,) = hosts[0].place.encoders()
    assert made.facts["steps"] == STEPS
    assert hosts[1].place.encoders() == []


def test_accelerate_launch_on_two_hosts(hosts: tuple[Host, Host]) -> None:
    launch = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "2"]
    launch += ["--main_process_ip", hosts[0].address, "--main_process_port", "29500"]
    both = [host.start([*launch, "--machine_rank", str(n), "-m", "mlsg"]) for n, host in enumerate(hosts)]
    first, second = (ended(process) for process in both)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert len(hosts[0].place.encoders()) == 1
