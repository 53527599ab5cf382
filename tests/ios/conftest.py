"""The app without a phone, behind a usbmuxd of its own, as every test here reaches it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from contract.places import HOME_VARIABLE
from device_agent.devices.ios.messages import PORT
from device_agent.devices.ios.mux import ADDRESS_VARIABLE
from device_agent.places import cache_dir
from tests.e2e.conftest import World
from tests.e2e.conftest import world as world  # the same server and commands as there
from tests.ios.app import IPHONE_X, AppMissing, EmulatedApp
from tests.usbmux import Cabled, FakeUsbmuxd

UDID = "e1f2000000000000000000000000000000000001"


@dataclass(frozen=True)
class Phone:
    """The app, the cable it is reached through, and its end at this computer."""

    app: EmulatedApp
    cabled: Cabled
    usbmuxd: FakeUsbmuxd


@pytest.fixture(scope="session")
def phone(world: World) -> Iterator[Phone]:
    """An iPhone X whose app is open. Programs that were exported before are not exported again."""
    with contextlib.ExitStack() as stack:
        try:
            app = stack.enter_context(EmulatedApp(world.folder / "app"))
        except AppMissing as missing:
            pytest.exit(str(missing), returncode=1)
        cabled = Cabled(UDID, {PORT: app.port})
        usbmuxd = stack.enter_context(FakeUsbmuxd(cabled))
        home = world.folder / "home"
        home.mkdir(exist_ok=True)
        (home / "cache").symlink_to(cache_dir())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv(HOME_VARIABLE, str(home))
        patch.setenv(ADDRESS_VARIABLE, usbmuxd.address)
        yield Phone(app, cabled, usbmuxd)


@pytest.fixture(autouse=True)
def as_it_should_be(request: pytest.FixtureRequest) -> None:
    """What a test did to the phone is no matter of the next one's."""
    if "phone" in request.fixturenames:
        there: Phone = request.getfixturevalue("phone")
        there.app.restart()
        there.app.set(**IPHONE_X)
        there.app.set(free_bytes=1 << 30)
