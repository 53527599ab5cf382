"""A connection to one phone, over USB or TCP."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from adb_shell import exceptions
from adb_shell.transport.base_transport import BaseTransport

from device_agent.devices.android.adb import files
from device_agent.devices.android.adb.addresses import not_reached, speaks_tls_alone
from device_agent.devices.android.adb.errors import (
    CommandTimedOut,
    KeyNotAccepted,
    NoShell,
    PhoneLost,
)
from device_agent.devices.android.adb.keys import signers
from device_agent.devices.android.adb.packets import (
    NothingCame,
    PacketDevice,
    TlsAlone,
    translated,
)
from device_agent.devices.android.adb.shells import Shell
from device_agent.devices.android.adb.transport import Ran

ANSWER_LIMIT_S = 10.0
ACCEPT_LIMIT_S = 60.0
_PROPERTY = re.compile(r"^\[(.+?)\]: \[(.*)\]$", re.MULTILINE)


class AdbConnection:
    """Implements `Connection` by adb-shell's packets.

    One connection carries a running program and other commands side by side, in one thread: two
    threads on one connection would take each other's answers, so another thread is refused.
    """

    def __init__(
        self,
        transport: BaseTransport,
        address: str,
        *,
        say: Callable[[str], None],
        accept_limit_s: float = ACCEPT_LIMIT_S,
    ) -> None:
        self.address = address
        self._thread = threading.get_ident()
        self._transport = transport
        self._device = PacketDevice(transport)
        try:
            self._connect(say, accept_limit_s)
        except BaseException:
            self.close()
            raise
        banner = self._device.banner
        self.model = banner.get("ro.product.model", "")
        self._has_v2 = "shell_v2" in banner.get("features", "").split(",")

    def run(self, command: str, *, timeout_s: float) -> Ran:
        until = time.monotonic() + timeout_s
        shell = self.start(f"{{ {command}\n}} </dev/null")
        out = bytearray()
        while piece := shell.receive(max(0.0, until - time.monotonic())):
            out += piece
        if piece is None:
            shell.kill()
            raise CommandTimedOut(f"{self.address}: `{command}` took longer than {timeout_s:g} s")
        return Ran(
            shell.code(), out.decode(errors="replace"), shell.stderr.decode(errors="replace")
        )

    def start(self, command: str) -> Shell:
        self._check_thread()
        try:
            return Shell(self._device, command, has_v2=self._has_v2)
        except NoShell as none:
            raise NoShell(f"{self.address}: {none}") from none

    def push(self, source: Path, target: str, *, executable: bool = False) -> None:
        self._check_thread()
        files.push(self._device, source, target, executable=executable)

    def pull(self, path: str) -> bytes:
        self._check_thread()
        return files.pull(self._device, path)

    def properties(self) -> Mapping[str, str]:
        return dict(_PROPERTY.findall(self.run("getprop", timeout_s=20.0).stdout))

    def close(self) -> None:
        self._device.close()

    def _connect(self, say: Callable[[str], None], accept_limit_s: float) -> None:
        asked = False

        def ask(_: object) -> None:
            nonlocal asked
            asked = True
            say(
                f"{self.address}: unlock the phone and accept the key on it "
                '("Allow USB debugging?", with "Always allow from this computer"); waiting'
            )

        try:
            with translated():
                self._device.connect(
                    rsa_keys=signers(),
                    transport_timeout_s=ANSWER_LIMIT_S,
                    auth_timeout_s=accept_limit_s,
                    read_timeout_s=max(ANSWER_LIMIT_S, accept_limit_s),
                    auth_callback=ask,
                )
        except exceptions.DeviceAuthError as error:
            raise self._not_accepted() from error
        except TlsAlone as error:
            self.close()
            raise speaks_tls_alone(self.address) from error
        except (NothingCame, PhoneLost) as error:
            self.close()
            if asked:
                raise self._not_accepted() from error
            reason = str(error) or f"no answer within {ANSWER_LIMIT_S:g} s"
            is_refused = isinstance(error.__cause__, ConnectionRefusedError)
            raise not_reached(self.address, reason, is_refused=is_refused) from error

    def _not_accepted(self) -> KeyNotAccepted:
        return KeyNotAccepted(
            f"{self.address} does not trust this computer: unlock the phone, accept the key on "
            "it, then run the same command. Where the phone does not ask, revoke USB debugging "
            "authorisations in its developer options, and switch USB debugging off and on"
        )

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise RuntimeError(f"{self.address}: this connection belongs to another thread")
