"""What a person does by hand: Debian's own adb, the bundle's folder, its command."""

import shlex
import socket
from contextlib import closing
from pathlib import Path

import pytest

from device_agent.devices.android.bundle import Bundle
from tests.adbd import Adbd, FakePhone
from tests.android.emulated import TEMPORARY, EmulatedPhone
from tests.device_agent.test_adb import Adb

pytestmark = pytest.mark.android


def test_adb_pushes_the_bundle_and_starts_it(
    phone: EmulatedPhone, built: Bundle, tmp_path: Path
) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    adb = Adb(port, tmp_path / "home")
    place = f"{TEMPORARY}/by-hand"
    with Adbd(FakePhone(phone.root, emulator=phone.emulator)) as adbd:
        try:
            adb("connect", adbd.serial)
            assert adb("-s", adbd.serial, "push", str(built.path), place)[0] == 0
            start = shlex.join([*built.start, "--threads", "1"])
            command = f"cd {place} && echo no job | {start} 2>/dev/null; exit 37"
            code, said = adb("-s", adbd.serial, "shell", command)
        finally:
            adb("kill-server")
    assert code == 37
    ready, refused = said.splitlines()
    assert '"runner": "native"' in ready
    assert "the job line is malformed" in refused
