"""The ExecuTorch that a runner for aarch64 links: the package's own wheel for that machine."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from device_agent.runner.build import NativeRunnerUnavailable

# Of the wheel for CPython 3.11, whichever Python runs here: its C++ part is all that is used.
SHA256 = {"1.5.1": "8ee02348a3ea80ddf770822911ebf78da616b73afce0fbaaa79f23311c88c66a"}
_TAGS = (
    *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"),
    *("--platform", "manylinux_2_28_aarch64"),
)
_PARTS = ("executorch/include/", "executorch/lib/", "executorch/share/")
_DOWNLOAD_LIMIT_S = 900.0


def aarch64_executorch(cache: Path) -> Path:
    """The unpacked headers and libraries, of the same version as the installed package.

    Raises:
        NativeRunnerUnavailable: the wheel cannot be had, or is not the one known by its hash.
    """
    wanted = version("executorch")
    if wanted not in SHA256:
        raise NativeRunnerUnavailable(
            f"no hash is known of the aarch64 wheel of executorch {wanted}; known: "
            f"{', '.join(SHA256)}. Add it to {Path(__file__).name}, or install one of these"
        )
    folder = cache / "executorch" / f"aarch64-{wanted}-{SHA256[wanted][:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                unpacked = Path(scratch) / "unpacked"
                _unpack(_download(wanted, Path(scratch)), unpacked)
                os.replace(unpacked, folder)
    return folder / "executorch"


def _download(wanted: str, folder: Path) -> Path:
    """The wheel, by pip and from where pip is told to look."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--only-binary=:all:", "--no-deps", *_TAGS, "--dest", str(folder)),
        f"executorch=={wanted}",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise NativeRunnerUnavailable(
            f"pip did not download executorch {wanted} for aarch64 within {_DOWNLOAD_LIMIT_S:g} s"
        ) from error
    if done.returncode != 0:
        words = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise NativeRunnerUnavailable(
            f"pip could not download executorch {wanted} for aarch64: {words}"
        )
    (wheel,) = folder.glob("*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256[wanted]:
        raise NativeRunnerUnavailable(
            f"{wheel.name} is not the wheel known to Phonebook: its SHA-256 is {found}, expected "
            f"{SHA256[wanted]}. Nothing of it was used; look where pip found it"
        )
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(
            folder, [name for name in archive.namelist() if name.startswith(_PARTS)]
        )
