"""The usbmuxd of the tests, held against pymobiledevice3: it must take it for a real one.

The package is installed into an environment of its own: the product neither needs nor imports it.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device_agent.devices.ios.launch import launch_command
from tests.usbmux import Cabled, FakeUsbmuxd

pytestmark = [pytest.mark.ios, pytest.mark.timeout(600)]

PLACE = Path(__file__).resolve().parent.parent.parent / "build" / "ios" / "pymobiledevice3"
PORT = 8742
UDID = "00008015000a11fa4e00008015000a11fa4e0000"
LIMIT_S = 60


@pytest.fixture(scope="session")
def command() -> Path:
    installed = PLACE / "bin" / "pymobiledevice3"
    if not installed.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PLACE)], check=True, timeout=120)
        pip = [str(PLACE / "bin" / "pip"), "install", "-qq", "pymobiledevice3"]
        subprocess.run(pip, check=True, timeout=450)
    return installed


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What listens on the phone's port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(LIMIT_S)
        yield listening


@pytest.fixture
def environment(listener: socket.socket, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a person whose usbmuxd is the tests'."""
    with FakeUsbmuxd(Cabled(UDID, {PORT: listener.getsockname()[1]})) as daemon:
        named = {"USBMUXD_SOCKET_ADDRESS": daemon.address, "HOME": str(tmp_path)}
        yield os.environ | named


def test_it_lists_the_phone(command: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [str(command), "usbmux", "list", "--simple"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    assert json.loads(done.stdout) == [UDID]


def test_it_reaches_a_port_of_the_phone(
    command: Path, environment: dict[str, str], listener: socket.socket
) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    forwarding = subprocess.Popen(
        [str(command), "usbmux", "forward", "--serial", UDID, str(port), str(PORT)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with _connected(port) as here:
            there, _ = listener.accept()
            with there:
                here.sendall(b"from here")
                assert there.recv(100) == b"from here"
                there.sendall(b"from there")
                assert here.recv(100) == b"from there"
    finally:
        forwarding.terminate()
        forwarding.wait(LIMIT_S)


def test_it_has_the_command_that_starts_the_app(
    command: Path, environment: dict[str, str]
) -> None:
    """As far as it goes without a phone: its options are known, and it looks for that phone."""
    absent = [str(command), *launch_command("nobodys")[1:]]
    done = subprocess.run(
        absent, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    said = done.stdout + done.stderr
    assert "No such option" not in said
    assert "nobodys" in said, said


def _connected(port: int) -> socket.socket:
    until = time.monotonic() + LIMIT_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        except ConnectionRefusedError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.1)
