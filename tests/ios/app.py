"""The iPhone app without a phone: its core as a Linux program, whose platform is what a test says.

`device_agent/ios_app/build-linux.sh` builds that program. It has the app's rules, its server and
the real runner with ExecuTorch, and says that it is emulated: no timing of it means anything.
"""

import json
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypedDict, Unpack

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = REPOSITORY / "build" / "ios" / "phonebook-bench"
LIMIT_S = 20.0


class AppMissing(Exception):
    """The program is not built; the message says how."""


class Platform(TypedDict, total=False):
    """What a phone is and how it is. Of what is left out the computer's own is told.

    `state` is what the system does to the app: it answers 503 while inactive, and nobody while
    suspended.
    """

    state: Literal["active", "inactive", "suspended"]
    thermal: Literal["nominal", "fair", "serious", "critical"]
    low_power: bool
    battery: float | None
    charging: bool | None
    free_bytes: int
    model: str
    name: str
    soc: str | None
    os: str
    build: str
    cores: int
    memory_bytes: int


IPHONE_X: Platform = {
    "state": "active",
    "thermal": "nominal",
    "low_power": False,
    "battery": 0.93,
    "charging": True,
    "model": "iPhone10,3",
    "name": "iPhone X",
    "soc": "A11 Bionic",
    "os": "iOS 16.7.10",
    "build": "20H350",
    "cores": 6,
    "memory_bytes": 2_960_000_000,
}


class EmulatedApp:
    """The program, started and ended like an app; its programs outlive it in `folder`.

    Raises:
        AppMissing: nobody built it.
    """

    port: int  # stays the same, however often the app is started

    def __init__(self, folder: Path, **platform: Unpack[Platform]) -> None:
        if not PROGRAM.exists():
            raise AppMissing(
                f"{PROGRAM} is not built; `.ci/ios.sh` installs what that needs on Debian 12, "
                "as root, builds it and runs these tests"
            )
        self._folder = folder
        self._platform: Platform = {**IPHONE_X, **platform}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.restart()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def programs(self) -> Path:
        """Where the app keeps the programs that it was sent."""
        return self._folder / "programs"

    def set(self, **platform: Unpack[Platform]) -> None:
        """Change the phone; returns once the app has noticed what the system did to it."""
        was = self._platform["state"]
        self._platform = {**self._platform, **platform}
        said = self._log.stat().st_size
        self._write()
        if self._platform["state"] != was:
            self._wait_for(f"app: {self._platform['state']}\n", said)

    def kill(self) -> None:
        """End the app at once, as when it crashes or a person swipes it away."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(LIMIT_S)
            self._process = None

    def restart(self) -> None:
        """Start the app, ended before if it still ran; the phone has it in front."""
        self.kill()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._platform = {**self._platform, "state": "active"}
        self._write()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(str(PROGRAM), "--programs", str(self.programs), "--port", str(self.port)),
                    *("--platform", str(self._file)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        said = self._wait_for("app: active\n", 0)
        self.port = int(said.partition("port ")[2].partition("\n")[0])

    @property
    def _log(self) -> Path:
        return self._folder / "app.log"

    @property
    def _file(self) -> Path:
        return self._folder / "platform.json"

    def _write(self) -> None:
        """Whole or not at all: the app reads it at any moment."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._platform))
        fresh.replace(self._file)

    def _wait_for(self, words: str, start: int) -> str:
        """What the app said after the first `start` bytes, once those words are in it."""
        deadline = time.monotonic() + LIMIT_S
        while words not in (said := self._log.read_bytes()[start:].decode()):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"the app did not say {words!r}, but {said!r}")
            time.sleep(0.01)
        return said
