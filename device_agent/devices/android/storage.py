"""What the agent keeps on a phone: its runner's bundle and programs, each under its hash."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from device_agent import screen
from device_agent.device import ProgramFile
from device_agent.devices.android.adb.errors import CommandFailed, StorageFull
from device_agent.devices.android.adb.transport import Connection
from device_agent.devices.android.bundle import Bundle

ROOT = "/data/local/tmp/phonebook"
OUTPUT = f"{ROOT}/output"
LOG = f"{ROOT}/runner.log"
LIMIT_S = 60.0
SPARE_BYTES = 64 << 20  # room that is left to the phone
_PROGRAMS = f"{ROOT}/programs"
_COMPLETE = "complete"


class Storage:
    """What lies on the phone. A file has its name only once it is whole."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._hashes: dict[Path, str] = {}
        self._do(f"mkdir -p {_PROGRAMS} && rm -rf {_PROGRAMS}/*.part")
        self._there = set(self._do(f"ls {_PROGRAMS}").split())

    def bundle(self, bundle: Bundle) -> str:
        """The folder of the bundle on the phone, pushed if it is not there. Others are removed.

        Raises:
            StorageFull: no room for it.
        """
        folder = f"{ROOT}/bundle-{bundle.sha256[:16]}"
        if self._connection.run(f"test -e {folder}/{_COMPLETE}", timeout_s=LIMIT_S).code != 0:
            self._do(f"rm -rf {ROOT}/bundle-*")
            size = sum((bundle.path / file).stat().st_size for file in bundle.files)
            self._make_room(size, wanted=())
            with screen.console.status(f"pushing the runner ({size / 1e6:.0f} MB)"):
                self._connection.push(bundle.path, folder, executable=True)
            self._do(f"touch {folder}/{_COMPLETE}")
        return folder

    def program(self, file: ProgramFile) -> str:
        """The program's path on the phone, pushed if it is not there.

        Raises:
            StorageFull: no room for it.
        """
        self.store([file])
        return f"{_PROGRAMS}/{self._name(file)}"

    def store(self, files: Iterable[ProgramFile]) -> None:
        """Push what is not there. Other programs make room where it is needed.

        Raises:
            StorageFull: no room for all.
        """
        wanted = {self._name(file): file.path for file in files}
        missing = {name: path for name, path in wanted.items() if name not in self._there}
        if not missing:
            return
        self._make_room(sum(path.stat().st_size for path in missing.values()), wanted=wanted)
        with screen.progress() as bar:
            for name, path in bar.track(missing.items(), description="pushing programs"):
                self._connection.push(path, f"{_PROGRAMS}/{name}.part")
                self._do(f"mv {_PROGRAMS}/{name}.part {_PROGRAMS}/{name}")
                self._there.add(name)

    def _make_room(self, size: int, *, wanted: Iterable[str]) -> None:
        free = self._free_bytes()
        if free is not None and free < size + SPARE_BYTES:
            unwanted = self._there.difference(wanted)
            for name in unwanted:
                self._do(f"rm -f {_PROGRAMS}/{name}")
            self._there -= unwanted
            free = self._free_bytes()
            if free is not None and free < size + SPARE_BYTES:
                raise StorageFull(
                    f"the phone's storage is full: {size / 1e6:.0f} MB are to be pushed, and "
                    f"{free / 1e6:.0f} MB are free, of which the phone keeps "
                    f"{SPARE_BYTES / 1e6:.0f} MB. Free some of it; what was measured is kept, "
                    "and the same command goes on"
                )

    def _free_bytes(self) -> int | None:
        """None where `df` is missing."""
        ran = self._connection.run(f"df -k {ROOT}", timeout_s=LIMIT_S)
        words = ran.stdout.split()
        # ... 1K-blocks Used Available Use% Mounted-on; a long device name has its own line
        known = ran.code == 0 and len(words) > 3 and words[-3].isdigit()
        return int(words[-3]) * 1024 if known else None

    def _name(self, file: ProgramFile) -> str:
        if file.path not in self._hashes:
            self._hashes[file.path] = hashlib.sha256(file.path.read_bytes()).hexdigest()[:32]
        return f"{self._hashes[file.path]}.pte"

    def _do(self, command: str) -> str:
        ran = self._connection.run(command, timeout_s=LIMIT_S)
        if ran.code != 0:
            raise CommandFailed(
                f"{self._connection.address}: `{command}` ended with {ran.code}: "
                f"{(ran.stderr or ran.stdout).strip()}"
            )
        return ran.stdout
