"""The bundle: the runner and all it needs, in a folder for an arm64 phone.

The same runner as on this computer, built by a cross compiler against ExecuTorch's aarch64 wheel.
Those libraries are made for glibc, which no Android has, so the folder brings glibc along, and its
loader, by which the runner is started. A runner built with the Android NDK is taken as well.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from contract import commands
from contract.errors import PhonebookError
from contract.runtime import Runner
from device_agent.runner.build import PROGRAM, NativeRunnerUnavailable, Target, build_runner
from device_agent.runner.elf import AARCH64, read_elf
from device_agent.runner.wheel import aarch64_executorch

PHONE = Target(
    name="the runner for phones",
    compiler="aarch64-linux-gnu-g++",
    packages="cmake g++-aarch64-linux-gnu",
    options=(
        *("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"),
        *("-DCMAKE_EXE_LINKER_FLAGS=-s", "-DCMAKE_SKIP_RPATH=ON"),
    ),
)
LOADER = "ld-linux-aarch64.so.1"
LIBRARIES = "lib"
_START: Mapping[Runner, tuple[str, ...]] = {
    "native": (f"./{LOADER}", "--library-path", f"./{LIBRARIES}", f"./{PROGRAM}"),
    "ndk": ("env", f"LD_LIBRARY_PATH=./{LIBRARIES}", f"./{PROGRAM}"),
}
_ON_EVERY_PHONE = frozenset({"libc.so", "libm.so", "libdl.so", "liblog.so"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A folder that is pushed to a phone as it is.

    Attributes:
        path: the folder: programs in it, libraries in its `lib`, nothing else.
        sha256: of the names and contents of its files.
        runner: what the runtime of its timings says.
    """

    path: Path
    sha256: str
    runner: Runner

    @property
    def start(self) -> tuple[str, ...]:
        """What starts the runner on the phone, from within the folder; its arguments follow."""
        return _START[self.runner]

    @property
    def archive(self) -> Path:
        """The folder's content as a tar beside it, for carrying it elsewhere."""
        return self.path.with_name(f"{self.path.name}.tar.gz")

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, sorted, relative to the folder. Each is to be executable."""
        found = (path for path in self.path.rglob("*") if path.is_file())
        return tuple(sorted(path.relative_to(self.path) for path in found))


def build(cache: Path) -> Bundle:
    """The bundle of Phonebook's own runner, kept in `cache` by what it is made from.

    The first time takes about ten seconds, and a download of 18 MB.

    Raises:
        NativeRunnerUnavailable: no CMake or cross compiler, no aarch64 wheel, or it failed.
    """
    for command in ("cmake", PHONE.compiler):
        PHONE.tool(command)  # before the download
    executorch = aarch64_executorch(cache)
    program = build_runner(PHONE, executorch, cache)
    libraries = _libraries(program, lambda name: _of_compiler(executorch / "lib", name))
    loader = libraries.pop(LOADER)
    return _make_bundle("native", program, libraries, cache, loader=loader)


def adopt(program: Path, cache: Path) -> Bundle:
    """The bundle of a runner that was built with the Android NDK; `read_adopted` finds it again.

    Libraries are taken from beside it, or from a folder `lib` beside it.

    Raises:
        PhonebookError: it is no such runner, or a library is missing.
    """
    try:
        elf = read_elf(program)
    except (OSError, ValueError) as error:
        raise PhonebookError(f"--runner {program}: {error}") from error
    if elf.machine != AARCH64 or not elf.is_android:
        raise PhonebookError(
            f"--runner {program}: not built for arm64 with the Android NDK; without --runner a "
            "runner is built here that needs no NDK"
        )
    libraries = _libraries(program, lambda name: _beside(program, name))
    bundle = _make_bundle("ndk", program, libraries, cache)
    _newest_adopted(cache).write_text(bundle.sha256)
    return bundle


def read_adopted(cache: Path) -> Bundle:
    """The bundle that `adopt` made last.

    Raises:
        PhonebookError: there is none.
    """
    try:
        sha256 = _newest_adopted(cache).read_text()
    except FileNotFoundError:
        raise PhonebookError(
            "no runner built with the Android NDK was given here yet; "
            f"`{commands.adopt_runner()}` takes one"
        ) from None
    return Bundle(path=_folder(cache, sha256), sha256=sha256, runner="ndk")


def _newest_adopted(cache: Path) -> Path:
    return cache / "bundle" / "ndk"


def _folder(cache: Path, sha256: str) -> Path:
    return cache / "bundle" / sha256[:16]


def _libraries(program: Path, find: Callable[[str], Path | None]) -> dict[str, Path]:
    """By name, every library that the program needs, and those need in turn.

    `find` says where one lies, and None of those that the phone has.
    """
    found: dict[str, Path] = {}
    waiting = [program]
    while waiting:
        for name in read_elf(waiting.pop()).needed:
            library = None if name in found else find(name)
            if library is not None:
                found[name] = library
                waiting.append(library)
    return found


def _of_compiler(executorch: Path, name: str) -> Path:
    """A library of ExecuTorch's, or else of the cross compiler's."""
    if (executorch / name).exists():
        return executorch / name
    asked = subprocess.run(
        [PHONE.compiler, f"-print-file-name={name}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    library = Path(asked.stdout.strip())
    if not library.is_absolute():  # the compiler repeats a name that it does not know
        raise NativeRunnerUnavailable(f"{PHONE.compiler} has no {name}, which the runner needs")
    return library


def _beside(program: Path, name: str) -> Path | None:
    if name in _ON_EVERY_PHONE:
        return None
    for place in (program.parent / name, program.parent / LIBRARIES / name):
        if place.is_file():
            return place
    raise PhonebookError(
        f"{program} needs {name}, which lies neither beside it nor in {LIBRARIES} beside it; put "
        "it there, or link it statically"
    )


def _make_bundle(
    runner: Runner,
    program: Path,
    libraries: Mapping[str, Path],
    cache: Path,
    *,
    loader: Path | None = None,
) -> Bundle:
    """The folder of these files, made now if it was not made before, whole or not at all."""
    parts = {PROGRAM: program, **{f"{LIBRARIES}/{name}": libraries[name] for name in libraries}}
    if loader is not None:
        parts[LOADER] = loader
    sha256 = _hash(parts)
    bundle = Bundle(path=_folder(cache, sha256), sha256=sha256, runner=runner)
    bundle.path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(bundle.path.with_name(f"{bundle.path.name}.lock")):
        if not bundle.path.exists():
            with tempfile.TemporaryDirectory(dir=bundle.path.parent) as scratch:
                made, archive = Path(scratch) / "bundle", Path(scratch) / "archive"
                for name, path in parts.items():
                    place = made / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, place)
                    place.chmod(0o755)
                _write_archive(made, sorted(parts), archive)
                os.replace(archive, bundle.archive)
                os.replace(made, bundle.path)
    return bundle


def _hash(parts: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in sorted(parts.items()):
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _write_archive(folder: Path, names: Iterable[str], archive: Path) -> None:
    """The same bytes from the same files: without times and owners."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode = (folder / name).stat().st_size, 0o755
            with (folder / name).open("rb") as content:
                tar.addfile(member, content)
