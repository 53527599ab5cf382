"""A device renamed while an agent measures it, by the agent's own code against a server."""

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from contract.client import table_client
from contract.errors import DeviceFailed, RequestRefused
from contract.jobs import Job
from contract.places import HOME_VARIABLE
from contract.stopping import Stop
from device_agent.measuring.journal import Journal
from device_agent.measuring.profile import profile
from device_agent.measuring.station import Station
from device_agent.screen import console
from device_agent.serving.agent import Agent, Unit
from device_agent.supervisor import Supervisor
from tests.device_agent.servers import serving
from tests.e2e.serving import DEVICE
from tests.e2e.test_leftovers import SPACE, US, station_of
from tests.fakes import DESCRIPTION, FakeDevice


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))


def rename(address: str) -> None:
    body = {"name": "pixel-8", "reason": "there are two kinds"}
    httpx.put(f"{address}/devices/{DEVICE}/name", json=body).raise_for_status()


@pytest.mark.slow
def test_what_it_has_begun_is_stored_and_the_next_run_is_told(tmp_path: Path) -> None:
    left = 30

    def pull_the_cable(key: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise DeviceFailed("the cable was pulled")

    with serving(tmp_path / "server.db") as address:
        with station_of(address, tmp_path, FakeDevice(US, pull_the_cable)) as station:
            with pytest.raises(DeviceFailed, match="cable"):
                profile(station, SPACE)
            rename(address)
        with station_of(address, tmp_path, FakeDevice(US)) as station:
            with console.capture() as said:
                profile(station, SPACE)
            told = " ".join(said.get().split())
            assert f"device {DEVICE} is called pixel-8 now" in told
            assert "going on with the unfinished session" in told
            assert station.client.table("pixel-8", space=SPACE.name).complete
            with pytest.raises(RequestRefused, match=r"is called pixel-8 now, .*use that name"):
                profile(station, SPACE)


@pytest.mark.slow
def test_what_is_renamed_in_the_midst_of_measuring_is_stored(tmp_path: Path) -> None:
    with serving(tmp_path / "server.db") as address:
        left = 30

        def renamed_meanwhile(key: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                rename(address)

        with station_of(address, tmp_path, FakeDevice(US, renamed_meanwhile)) as station:
            profile(station, SPACE)
            assert station.client.table("pixel-8", space=SPACE.name).complete


def test_an_agent_that_serves_ends_with_the_words_to_start_it_again(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "server.db") as address,
        table_client(address) as client,
        Journal(tmp_path / "journal.db") as journal,
    ):
        client.register(DEVICE, DESCRIPTION)
        looked = 0

        def units() -> tuple[Unit, ...]:
            nonlocal looked
            looked += 1
            if looked == 4:  # it serves for a while
                rename(address)
            return (Unit(kind="host", device=DEVICE, serial="bench-1"),)

        agent = Agent(
            uuid4(),
            units=units,
            open_station=no_job,
            client=client,
            journal=journal,
            stop=Stop(),
            poll_s=0.1,
        )
        with pytest.raises(RequestRefused, match="start the agent again with `--name pixel-8`"):
            agent.serve()
        assert looked >= 4


def no_job(job: Job, unit: Unit, supervisor: Supervisor) -> AbstractContextManager[Station]:
    raise AssertionError(f"nobody has filed {job.id}")


def test_commands_that_look_a_device_up_tell_what_it_is_called_now(tmp_path: Path) -> None:
    with serving(tmp_path / "server.db") as address, table_client(address) as client:
        client.register(DEVICE, DESCRIPTION)
        rename(address)
        for command in (
            ("device_agent.jobs", "file", "profile", "--device", DEVICE),
            ("search.predict", "--device", f"{DEVICE}@int8", "--network", "fbnet-a"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", *command, "--server", address],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 3
            assert f"device {DEVICE} is called pixel-8 now" in " ".join(done.stderr.split())
