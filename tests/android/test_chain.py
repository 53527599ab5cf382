"""The whole chain by its commands: agent, adb, bundle, real programs, server, table."""

from collections.abc import Iterator

import httpx
import pytest

from contract.timings import Session
from device_agent.bundle import Bundle
from device_agent.places import cache_dir
from tests.adbd import Adbd, FakePhone
from tests.android.conftest import SPACE
from tests.android.emulated import EmulatedPhone
from tests.e2e.conftest import LIMIT_S, World

pytestmark = [pytest.mark.android, pytest.mark.timeout(2 * LIMIT_S)]

NAME = "galaxys8"


@pytest.fixture(scope="module")
def adbd(phone: EmulatedPhone) -> Iterator[Adbd]:
    with Adbd(FakePhone(phone.root, emulator=phone.emulator)) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def profiled(world: World, adbd: Adbd, built: Bundle) -> str:
    """What the agent wrote on the screen; what was built or exported before is used again."""
    home = world.folder / "home"
    home.mkdir(exist_ok=True)
    (home / "cache").symlink_to(cache_dir())
    done = world.run(
        *(f"device_agent.run --device {NAME} --name {NAME}", "--serial", adbd.serial),
        *("--space", SPACE.name, "--effort", "quick"),
    )
    assert done.code == 0, done.errors
    return done.errors


def session_of(world: World) -> Session:
    (session,) = httpx.get(f"{world.server}/sessions", params={"device": NAME}).json()
    return Session.model_validate(session)


def lut(world: World, **query: str) -> httpx.Response:
    return httpx.get(f"{world.server}/lut/{NAME}", params={"space": SPACE.name, **query})


def test_every_operator_was_timed_on_the_big_cores(world: World, profiled: str) -> None:
    session = session_of(world)
    assert (session.origin, session.runtime.runner) == ("emulated", "native")
    assert set(session.runtime.cpus) <= {4, 5, 6, 7}
    assert session.conditions.temperature_c is not None
    assert session.conditions_after is not None
    report = httpx.get(f"{world.server}/sessions/{session.id}").json()
    assert {timing["operator"] for timing in report["timings"]} == {
        operator.key for operator in SPACE.operators
    }
    assert [timing for timing in report["timings"] if timing["failure"]] == []


def test_the_table_is_served_as_what_it_is_and_never_as_the_phones(
    world: World, profiled: str
) -> None:
    runtime = session_of(world).runtime.key
    emulated = lut(world, runtime=runtime, origin="emulated").json()
    assert emulated["complete"]
    assert {row["origin"] for row in emulated["entries"]} == {"emulated"}

    assert lut(world).status_code == 404  # nothing was measured on any S8
    assert lut(world, runtime=runtime).json()["entries"] == []
    (device,) = httpx.get(f"{world.server}/devices").json()
    assert device["runtimes"] == []


def test_nothing_shows_its_times_as_latencies(
    world: World, profiled: str, adbd: Adbd, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"emulated, no latencies of a {NAME}" in " ".join(profiled.split())
    assert "latency us" not in profiled
    asked = (f"--device {NAME} --network fbnet-a --space {SPACE.name}").split()
    monkeypatch.setenv("ANDROID_SERIAL", adbd.serial)
    runtime = session_of(world).runtime.key
    network = world.run("device_agent.network", *asked, "--runtime", runtime)
    assert network.code == 2
    assert "is emulated: how long a network takes there says nothing" in network.errors
    prediction = world.run("search.predict", *asked)
    assert prediction.code == 3
    assert "nothing was measured on galaxys8" in prediction.errors


def test_the_phone_is_left_as_it_was_found(phone: EmulatedPhone, profiled: str) -> None:
    assert phone.here("/data/system/wakefulness").read_text() == "Asleep\n"
    assert list(phone.here("/data/system/settings").iterdir()) == []
    assert "phonebook-runner" not in phone.run("ps").stdout
