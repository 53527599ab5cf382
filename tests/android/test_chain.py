"""The whole chain: agent, adb, bundle, real programs, server, table; in either protocol.

What is measured is less than a space, because emulation is slow. All else is as it always is.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import httpx
import pytest

from contract.operators import Operator
from contract.places import HOME_VARIABLE
from contract.runtime import Protocol, RuntimeRequest
from contract.sessions import Session
from device_agent import screen
from device_agent.devices.android.bundle import Bundle
from device_agent.measuring.journal import TABLE
from device_agent.measuring.protocols.protocol import WHOLE_PLAN, PlannedProgram, whole
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.station import Options, Station, open_station
from device_agent.places import cache_dir
from tests.adbd import Adbd, FakePhone
from tests.android.conftest import NETWORK, OPERATORS, SPACE
from tests.android.emulated import EmulatedPhone
from tests.e2e.conftest import LIMIT_S, World

pytestmark = [pytest.mark.android, pytest.mark.timeout(LIMIT_S)]

NAME = "galaxys8"


@dataclass(frozen=True)
class Profiled:
    """A session that ended, and what a person saw of it."""

    session: Session
    operators: frozenset[str]
    screen: str


@pytest.fixture(scope="module")
def adbd(phone: EmulatedPhone) -> Iterator[Adbd]:
    with Adbd(FakePhone(phone.root, emulator=phone.emulator)) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def home(world: World) -> Iterator[None]:
    """The world's home, with what was built and exported before."""
    folder = world.folder / "home"
    folder.mkdir(exist_ok=True)
    (folder / "cache").symlink_to(cache_dir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(folder))
        yield


@pytest.fixture(scope="module", params=[("in_situ", "float32"), ("isolated", "int8")])
def profiled(
    request: pytest.FixtureRequest, world: World, adbd: Adbd, built: Bundle, home: None
) -> Profiled:
    """A few operators profiled under the name of a real S8, as `device_agent.run` does."""
    protocol, dtype = request.param
    options = Options(
        device=NAME,
        name=NAME,
        serial=adbd.serial,
        server=world.server,
        runtime=RuntimeRequest(protocol=protocol, dtype=dtype),
        effort="quick",
    )
    with open_station(options) as station, screen.console.capture() as said:
        station.client.register(station.name, station.device.describe())
        operators, planned = few(station, protocol)
        opened = station.begin(SPACE, operators, TABLE)
        _, timings = station.measure(opened, planned).close()
        screen.summary(timings, device=NAME, space=SPACE.name, origin=station.device.origin)
        station.send()
        stored = station.client.session_report(str(opened.session.id))
    assert [timing.failure for timing in timings if timing.failure] == []
    return Profiled(stored.session, frozenset(op.key for op in operators), said.get())


def few(
    station: Station, protocol: Protocol
) -> tuple[Sequence[Operator], Sequence[PlannedProgram]]:
    runtime = station.device.runtime
    if protocol == "isolated":
        return OPERATORS, PROTOCOLS["isolated"].plan(
            OPERATORS, space=SPACE, runtime=runtime, effort="quick"
        )
    operators = tuple(op for op in dict.fromkeys(NETWORK.operators) if not op.is_free)
    untraced = whole(NETWORK, runtime)
    traced = replace(WHOLE_PLAN, trace=True)
    return operators, [replace(untraced, plans=(traced, *untraced.plans), operators=operators)]


def lut(world: World, **query: str) -> httpx.Response:
    return httpx.get(f"{world.server}/lut/{NAME}", params=query)


def test_it_was_measured_on_the_big_cores_and_says_so(profiled: Profiled) -> None:
    session = profiled.session
    assert session.origin == "emulated"
    assert session.runtime.runner == "native"
    assert session.runtime.cpus
    assert set(session.runtime.cpus) <= {4, 5, 6, 7}
    assert session.conditions.temperature_c is not None
    assert session.conditions_after is not None


def test_its_rows_are_served_as_what_they_are_and_never_as_the_phones(
    profiled: Profiled, world: World
) -> None:
    runtime = profiled.session.runtime.key
    rows = lut(world, runtime=runtime, origin="emulated").json()["entries"]
    assert {row["operator"] for row in rows} == profiled.operators
    assert {row["origin"] for row in rows} == {"emulated"}

    assert lut(world).status_code == 404  # nothing was measured on any S8
    assert lut(world, runtime=runtime).json()["entries"] == []
    devices = httpx.get(f"{world.server}/devices").json()
    assert [device["runtimes"] for device in devices if device["name"] == NAME] == [[]]


def test_nobody_is_shown_its_times_as_latencies(
    profiled: Profiled, world: World, adbd: Adbd, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"emulated, no latencies of a {NAME}" in " ".join(profiled.screen.split())
    assert "latency us" not in profiled.screen
    monkeypatch.setenv("ANDROID_SERIAL", adbd.serial)
    asked = f"--device {NAME} --network fbnet-a --space {SPACE.name}".split()
    network = world.run("device_agent.network", *asked, "--runtime", profiled.session.runtime.key)
    assert network.code == 2
    assert "is emulated: how long a network takes there says nothing" in network.errors
    prediction = world.run("search.predict", *asked)
    assert prediction.code == 3
    assert f"nothing was measured on {NAME}" in prediction.errors


def test_the_doctor_finds_it_fit_and_emulated(world: World, adbd: Adbd, home: None) -> None:
    done = world.run("device_agent.doctor", "--device", NAME, "--serial", adbd.serial)
    found = " ".join(done.errors.split())
    assert done.code == 0, found
    for line in (
        *("description: SM-G950F (emulated)", "clusters: 4 up to 2314 MHz, 4 up to 1690 MHz"),
        *("loader: the runner starts, on cpu4.5.6.7", "threads: 1 in the pool, 1 asked for"),
    ):
        assert line in found
    assert re.search(r"a small program: right, in [0-9,]+ us \(emulated\)", found)


def test_the_phone_is_left_as_it_was_found(profiled: Profiled, phone: EmulatedPhone) -> None:
    assert phone.here("/data/system/wakefulness").read_text() == "Asleep\n"
    assert list(phone.here("/data/system/settings").iterdir()) == []
    assert phone.running() == []
