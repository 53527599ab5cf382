"""The programs that the app keeps on a phone, each under its hash."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from device_agent import screen
from device_agent.device import ProgramFailed, ProgramFile
from device_agent.devices.ios.app import App, HashDiffers, TooLarge
from device_agent.devices.ios.errors import StorageFull, UploadDamaged
from device_agent.devices.ios.leftovers import despite_leftovers
from device_agent.devices.ios.messages import MOST_PROGRAM_BYTES


class Storage:
    """What the app has. It is asked once for each program, and sent what it lacks."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._there: set[str] = set()
        self._digests: dict[Path, str] = {}
        self._refused: dict[str, str] = {}  # by hash: why the app will not have it

    def forget(self) -> None:
        """Ask anew: the app was away, and may have lost programs."""
        self._there.clear()

    def program(self, file: ProgramFile) -> str:
        """The program's hash; it is uploaded if it is not there.

        Raises:
            ProgramFailed: it is too large for the app.
            StorageFull: no room for it.
            Stuck: no room, and the app does not end the job that it is at.
            UploadDamaged: it arrived changed, twice.
        """
        self.store([file])
        digest = self._digest(file)
        if digest in self._refused:
            raise ProgramFailed("load_failed", self._refused[digest])
        return digest

    def store(self, files: Iterable[ProgramFile]) -> None:
        """Upload what is not there. Where there is no room, other programs leave first, and a job
        that an agent of ours left running ends before them.

        One that is too large is left out; its visit fails.

        Raises:
            StorageFull: no room for all.
            Stuck: no room, and the app does not end that job.
            UploadDamaged: a program arrived changed, twice.
        """
        wanted = {self._digest(file): file.path for file in files}
        try:
            self._upload(self._missing(wanted))
        except StorageFull:
            despite_leftovers(self._app, self._app.delete_programs)
            self._there.clear()
            self._upload(self._missing(wanted))

    def _missing(self, wanted: Mapping[str, Path]) -> dict[str, Path]:
        unknown = wanted.keys() - self._there - self._refused.keys()
        self._there |= {digest for digest in unknown if self._app.has(digest)}
        return {digest: wanted[digest] for digest in wanted if digest in unknown - self._there}

    def _upload(self, missing: Mapping[str, Path]) -> None:
        if not missing:
            return
        with screen.progress() as bar:
            for digest, path in bar.track(missing.items(), description="uploading programs"):
                size = path.stat().st_size
                try:
                    if size > MOST_PROGRAM_BYTES:
                        raise TooLarge(f"it takes at most {MOST_PROGRAM_BYTES >> 20} MiB")
                    self._send(digest, path)
                except TooLarge as error:
                    self._refused[digest] = (
                        f"too large for the app, with {size / 1e6:.0f} MB: {error}"
                    )
                else:
                    self._there.add(digest)

    def _send(self, digest: str, path: Path) -> None:
        content = path.read_bytes()
        try:
            self._app.upload(digest, content)
        except HashDiffers:
            try:
                self._app.upload(digest, content)
            except HashDiffers as error:
                raise UploadDamaged(
                    f"{self._app.udid}: {path.name} arrived changed, twice ({error}). Try another "
                    "cable or port; what was measured is kept, and the same command goes on"
                ) from error

    def _digest(self, file: ProgramFile) -> str:
        if file.path not in self._digests:
            self._digests[file.path] = hashlib.sha256(file.path.read_bytes()).hexdigest()
        return self._digests[file.path]
