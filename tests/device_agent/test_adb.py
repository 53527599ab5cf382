"""The connection to a phone, against a daemon that speaks as a phone's does."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from device_agent.devices.android.adb.attached import choose, connect, device_name, list_phones
from device_agent.devices.android.adb.connection import AdbConnection
from device_agent.devices.android.adb.errors import (
    CommandFailed,
    CommandTimedOut,
    KeyNotAccepted,
    NoShell,
    NotInNetwork,
    PhoneLost,
    PhoneNotFound,
    StorageFull,
    WirelessDebugging,
)
from device_agent.devices.android.adb.packets import Tcp
from tests.adbd import Adbd, FakePhone

pytestmark = pytest.mark.usefixtures("home")

TMP = "/data/local/tmp"
OLD = {"features": "cmd", "version": 0x01000000, "most": 4096}


@pytest.fixture(params=["Android 7 and later", "before Android 7"])
def adbd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Adbd]:
    old = OLD if request.param == "before Android 7" else {}
    with Adbd(FakePhone(tmp_path / "phone", **old)) as daemon:  # type: ignore[arg-type]  # mixed values
        yield daemon


@contextmanager
def connected(adbd: Adbd) -> Iterator[AdbConnection]:
    with closing(connect(adbd.serial, say=print)) as connection:
        yield connection


def test_a_command_gives_its_exit_code_and_all_it_wrote(adbd: Adbd) -> None:
    with connected(adbd) as phone:
        ran = phone.run("echo one; echo two >&2; exit 37", timeout_s=10)
        assert ran.code == 37
        assert ran.stdout.startswith("one\n")
        assert (ran.stdout + ran.stderr) == "one\ntwo\n"
        assert phone.run("sh -c 'kill -9 $$'", timeout_s=10).code == 137
        big = phone.run("seq 1 30000", timeout_s=10).stdout.split()
        assert (len(big), big[-1]) == (30000, "30000")
        assert phone.model == "SM-G950F"


def test_a_round_trip_does_not_wait_for_nagle(adbd: Adbd) -> None:
    with connected(adbd) as phone:
        transport = phone._transport
        assert isinstance(transport, Tcp)
        assert transport._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_phone_that_hangs_up_is_noticed_at_once(adbd: Adbd) -> None:
    with connected(adbd) as phone:
        threading.Timer(0.3, adbd.hang_up).start()
        began = time.monotonic()
        with pytest.raises(PhoneLost):
            phone.run("sleep 20", timeout_s=30)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("after", [3, 40, 30_000])
def test_an_answer_that_is_cut_is_a_lost_phone_and_no_answer(adbd: Adbd, after: int) -> None:
    adbd.phone.local(f"{TMP}/big").write_bytes(bytes(300_000))
    with connected(adbd) as phone:
        adbd.phone.faults.hang_up_after = after
        with pytest.raises(PhoneLost):
            phone.pull(f"{TMP}/big")


def test_a_command_past_its_limit_is_killed_with_all_that_it_started(adbd: Adbd) -> None:
    with connected(adbd) as phone:
        with pytest.raises(CommandTimedOut, match=r"took longer than 0\.5 s"):
            phone.run("(sleep 60; true) & wait", timeout_s=0.5)
        until = time.monotonic() + 5
        while running_on(adbd.phone):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert phone.run("echo still here", timeout_s=10).stdout == "still here\n"


def running_on(phone: FakePhone) -> set[psutil.Process]:
    """The processes of that phone's shells that have not ended."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get("PHONE_ROOT") == str(phone.root)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process)
    return found


def test_a_folder_arrives_whole_with_its_programs_executable(adbd: Adbd, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    (folder / "lib" / "deep").mkdir(parents=True)
    (folder / "lib" / "deep" / "data").write_bytes(os.urandom(200_000))
    (folder / "empty").touch()
    program = folder / "run"
    program.write_text("#!/bin/sh\necho it runs\n")
    program.chmod(0o755)
    with connected(adbd) as phone:
        phone.push(folder, f"{TMP}/bundle")
        assert phone.run(f"{TMP}/bundle/run", timeout_s=10).stdout == "it runs\n"
        content = phone.pull(f"{TMP}/bundle/lib/deep/data")
        assert content == (folder / "lib" / "deep" / "data").read_bytes()
        assert phone.pull(f"{TMP}/bundle/empty") == b""
        with pytest.raises(CommandFailed, match="No such file"):
            phone.pull(f"{TMP}/nothing")


def test_two_threads_do_not_share_a_connection_but_may_have_one_each(adbd: Adbd) -> None:
    said: list[str] = []

    def elsewhere(shared: AdbConnection) -> None:
        with pytest.raises(RuntimeError, match="belongs to another thread"):
            shared.run("true", timeout_s=10)
        with connected(adbd) as own:
            said.extend(own.run(f"echo {n}", timeout_s=10).stdout for n in range(20))

    with connected(adbd) as phone:
        other = threading.Thread(target=elsewhere, args=(phone,))
        other.start()
        here = [phone.run(f"echo {n}", timeout_s=10).stdout for n in range(20)]
        other.join()
    assert here == said == [f"{n}\n" for n in range(20)]


def test_a_running_program_and_commands_share_a_connection(adbd: Adbd) -> None:
    with connected(adbd) as phone:
        program = phone.start("while read line; do echo got $line; done; exit 5")
        for number in range(3):
            program.send(f"{number}\n".encode())
            assert phone.run("echo between", timeout_s=10).stdout == "between\n"
            assert program.receive(10) == f"got {number}\n".encode()
        assert program.receive(0.2) is None
        program.kill()
        # Dead, and taken note of by its parent.
        gone = f"while kill -0 {program.pid} 2>/dev/null; do sleep 0.1; done"
        assert phone.run(gone, timeout_s=10).code == 0


def test_a_key_is_offered_accepted_and_remembered(tmp_path: Path) -> None:
    asked: list[str] = []
    with Adbd(FakePhone(tmp_path / "phone", needs_key=True)) as adbd:
        for _ in range(2):
            with closing(connect(adbd.serial, say=asked.append)) as phone:
                assert phone.run("echo in", timeout_s=10).stdout == "in\n"
    assert len(asked) == 1
    assert "accept the key on it" in asked[0]
    key = tmp_path / "phonebook" / "state" / "adb" / "adbkey"
    assert key.stat().st_mode & 0o077 == 0


def test_a_key_that_nobody_accepts_says_what_to_do(tmp_path: Path) -> None:
    phone = FakePhone(tmp_path / "phone", needs_key=True, accepts_keys=False)
    with Adbd(phone) as adbd, pytest.raises(KeyNotAccepted, match="unlock the phone, accept"):
        connect(adbd.serial, say=print, accept_limit_s=0.3)


def test_a_full_storage_is_told_before_everything_is_sent(adbd: Adbd, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(8 << 20))
    adbd.phone.faults.storage_full = True
    with connected(adbd) as phone, pytest.raises(StorageFull, match="storage is full"):
        phone.push(big, f"{TMP}/big")


def test_where_nothing_answers_the_cable_and_the_settings_are_named() -> None:
    with pytest.raises(PhoneNotFound, match="Is USB debugging on"):
        connect("127.0.0.1:9", say=print)


def test_where_nothing_listens_in_the_network_no_cable_is_meant_and_the_command_is_named() -> None:
    with pytest.raises(NotInNetwork, match=r"refused.*`adb tcpip 5555`") as refused:
        connect("127.0.0.1:9", say=print)
    assert "data" not in str(refused.value)


def test_a_phone_in_the_network_that_hangs_up_is_no_matter_of_a_cables(adbd: Adbd) -> None:
    adbd.phone.faults.refuse_connections = True
    with pytest.raises(NotInNetwork, match="is the phone in this network and awake") as away:
        connect(adbd.serial, say=print)
    assert "cable" not in str(away.value)


def test_android_11s_wireless_debugging_says_what_it_is_and_what_to_do(adbd: Adbd) -> None:
    adbd.phone.faults.wants_tls = True
    with pytest.raises(
        WirelessDebugging, match=r"`adb tcpip 5555`, and name it by --serial 127\.0\.0\.1:5555"
    ):
        connect(adbd.serial, say=print)


def test_a_phone_without_a_shell_says_why_at_once(adbd: Adbd) -> None:
    adbd.phone.faults.has_no_shell = True
    with connected(adbd) as phone:
        began = time.monotonic()
        with pytest.raises(NoShell, match="not executable"):
            phone.run("true", timeout_s=30)
        assert time.monotonic() - began < 10


def test_properties(adbd: Adbd) -> None:
    programs = adbd.phone.root / "system" / "bin"
    programs.mkdir(parents=True)
    (programs / "getprop").write_text("#!/bin/sh\necho '[a.b]: [c d]'\necho '[e]: []'\n")
    (programs / "getprop").chmod(0o755)
    with connected(adbd) as phone:
        assert phone.properties() == {"a.b": "c d", "e": ""}


def test_the_phone_that_is_meant(adbd: Adbd, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PhoneNotFound, match=r"no phone on the cable|cannot see phones on USB"):
        choose("galaxys8", None, say=print)
    assert choose("galaxys8", "SERIAL", say=print) == "SERIAL"
    monkeypatch.setenv("ANDROID_SERIAL", adbd.serial)
    assert choose("galaxys8", None, say=print) == adbd.serial
    (phone,) = list_phones(say=print)
    assert (phone.serial, phone.model, phone.name) == (adbd.serial, "SM-G950F", "galaxys8")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("SM-G950F", "galaxys8"),
        ("SM-G950U1", "galaxys8"),
        ("SM-G955F", "galaxys8-plus"),
        ("Pixel 8 Pro", "pixel-8-pro"),
        ("ONEPLUS A6013", "oneplus-a6013"),
        ("???", "android"),
    ],
)
def test_a_phone_is_called_by_its_model(model: str, name: str) -> None:
    assert device_name(model) == name


class TestOfficialClient:
    """The daemon convinces Debian's adb too, so that it is no mirror of our own reading."""

    @pytest.fixture
    def adb(self, tmp_path: Path) -> Iterator["Adb"]:
        if shutil.which("adb") is None:
            if os.environ.get("CI"):
                pytest.fail("CI must have adb: apt-get install adb")
            pytest.skip("no adb here; on Debian: apt-get install adb")
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        client = Adb(port, tmp_path / "home")
        yield client
        client("kill-server")

    def test_it_connects_runs_and_copies(self, adb: "Adb", adbd: Adbd, tmp_path: Path) -> None:
        assert "connected" in adb("connect", adbd.serial)[1]
        code, output = adb("-s", adbd.serial, "shell", "echo one; exit 37")
        assert output.split() == ["one"]
        assert code == (37 if "shell_v2" in adbd.phone.features else 0)
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "a").write_bytes(os.urandom(500_000))
        assert adb("-s", adbd.serial, "push", str(folder), TMP)[0] == 0
        back = tmp_path / "back"
        assert adb("-s", adbd.serial, "pull", f"{TMP}/folder", str(back))[0] == 0
        assert (back / "a").read_bytes() == (folder / "a").read_bytes()
        code, output = adb("-s", adbd.serial, "pull", f"{TMP}/nothing", str(back))
        assert code == 1
        adbd.phone.faults.storage_full = True
        code, output = adb("-s", adbd.serial, "push", str(folder), f"{TMP}/more")
        assert code == 1
        assert "No space left" in output

    def test_it_is_let_in_by_key_alone(self, adb: "Adb", tmp_path: Path) -> None:
        phone = FakePhone(tmp_path / "phone", needs_key=True, accepts_keys=False)
        with Adbd(phone) as adbd:
            adb("connect", adbd.serial)
            assert "unauthorized" in adb("devices")[1]
            adb("disconnect", adbd.serial)
            phone.accepts_keys = True
            adb("connect", adbd.serial)
            assert adb("-s", adbd.serial, "wait-for-device", "shell", "echo in")[1] == "in\n"


class Adb:
    """Debian's adb, with a server of its own."""

    def __init__(self, port: int, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self._environment = os.environ | {
            "ANDROID_ADB_SERVER_PORT": str(port),
            "HOME": str(home),
        }

    def __call__(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            ["adb", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout
