"""The client of usbmuxd, against a daemon that keeps to the protocol, and ones that do not."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device_agent.devices.ios.errors import AppNotRunning, NoUsbmuxd, Unplugged
from device_agent.devices.ios.mux import Usbmuxd
from tests.usbmux import Cabled, FakeUsbmuxd, wire

PORT = 8742


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def phone(listener: socket.socket) -> Cabled:
    return Cabled("00008015-000A11", {PORT: listener.getsockname()[1]})


@pytest.mark.parametrize("form", ["{}", "UNIX:{}"])
def test_a_port_of_the_phone_is_reached_by_a_sockets_path(
    phone: Cabled, listener: socket.socket, form: str
) -> None:
    with FakeUsbmuxd(phone) as daemon:
        _talk(Usbmuxd(form.format(daemon.address)), phone, listener)


def test_a_port_of_the_phone_is_reached_by_the_daemons_own_port(
    phone: Cabled, listener: socket.socket
) -> None:
    with FakeUsbmuxd(phone, tcp=True) as daemon:
        _talk(Usbmuxd(daemon.address), phone, listener)


def _talk(usbmuxd: Usbmuxd, phone: Cabled, listener: socket.socket) -> None:
    with closing(usbmuxd.connect(phone.udid, PORT)) as here:
        there, _ = listener.accept()
        with there:
            here.sendall(b"from here")
            assert there.recv(100) == b"from here"
            there.sendall(b"from there")
            assert here.recv(100) == b"from there"
        assert here.recv(100) == b""


def test_phones_on_cables_are_listed_and_those_in_the_wifi_are_not(phone: Cabled) -> None:
    with FakeUsbmuxd(phone, Cabled("in-the-wifi", connection="Network")) as daemon:
        usbmuxd = Usbmuxd(daemon.address)
        assert [each.udid for each in usbmuxd.phones()] == [phone.udid]
        daemon.unplug(phone)
        assert usbmuxd.phones() == ()


def test_trust_is_what_was_paired_on_this_computer() -> None:
    with FakeUsbmuxd(Cabled("new", is_paired=False), Cabled("old")) as daemon:
        usbmuxd = Usbmuxd(daemon.address)
        assert usbmuxd.trusts("old")
        assert not usbmuxd.trusts("new")


def test_a_pulled_cable_ends_what_goes_through_it(phone: Cabled, listener: socket.socket) -> None:
    with FakeUsbmuxd(phone) as daemon:
        usbmuxd = Usbmuxd(daemon.address)
        with closing(usbmuxd.connect(phone.udid, PORT)) as here:
            daemon.unplug(phone)
            with pytest.raises(ConnectionResetError):
                _until_the_end(here)
        with pytest.raises(Unplugged, match="plug it in, unlock it, and tap Trust"):
            usbmuxd.connect(phone.udid, PORT)
        daemon.plug(phone)
        usbmuxd.connect(phone.udid, PORT).close()


def _until_the_end(channel: socket.socket) -> None:
    if channel.recv(1) == b"":
        raise ConnectionResetError  # a socket's path tells an abort as an end


def test_a_port_that_nobody_listens_on_is_an_app_that_does_not_run(phone: Cabled) -> None:
    with FakeUsbmuxd(phone) as daemon, pytest.raises(AppNotRunning, match="tap its icon"):
        Usbmuxd(daemon.address).connect(phone.udid, 9)


def test_a_phone_that_leaves_between_two_requests_is_told_as_gone(phone: Cabled) -> None:
    with FakeUsbmuxd(phone) as daemon:
        daemon.answer = lambda request: (
            wire.result(request.tag, wire.NO_DEVICE)
            if request.message["MessageType"] == "Connect"
            else None
        )
        with pytest.raises(Unplugged, match="was just unplugged"):
            Usbmuxd(daemon.address).connect(phone.udid, PORT)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (wire.packet(7, {"DeviceList": []}), "tag 7"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "header"),
        (wire.packet(1, {})[:16] + b"x" * len(wire.packet(1, {})[16:]), "does not answer as"),
    ],
    ids=["another tag", "HTTP", "no property list"],
)
def test_what_is_no_usbmuxd_is_told_apart(phone: Cabled, said: bytes, words: str) -> None:
    with FakeUsbmuxd(phone) as daemon:
        daemon.answer = lambda request: said
        with pytest.raises(NoUsbmuxd, match=words):
            Usbmuxd(daemon.address).phones()


def test_a_result_that_has_no_meaning_here_is_named(phone: Cabled) -> None:
    with FakeUsbmuxd(phone) as daemon:
        daemon.answer = lambda request: (
            wire.result(request.tag, wire.BAD_VERSION)
            if request.message["MessageType"] == "Connect"
            else None
        )
        with pytest.raises(NoUsbmuxd, match=r"Connect with 6 \(wrong version\)"):
            Usbmuxd(daemon.address).connect(phone.udid, PORT)


@pytest.mark.parametrize("address", ["{}/socket", "127.0.0.1:1"], ids=["path", "port"])
def test_a_computer_without_usbmuxd_is_told_how_to_get_it(address: str, tmp_path: Path) -> None:
    with pytest.raises(NoUsbmuxd, match="apt-get install usbmuxd"):
        Usbmuxd(address.format(tmp_path)).phones()
