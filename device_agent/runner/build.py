"""Building the native runner with CMake, once per source, ExecuTorch and compiler.

`python -m device_agent.runner.build` builds it and prints where it is.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from contract.cli import command_line, main
from contract.errors import DeviceFailed, PhonebookError
from device_agent.places import cache_dir

SOURCES = Path(__file__).resolve().parent
BUILD_LIMIT_S = 600.0
PROGRAM = "phonebook-runner"
_LOG = "build.log"


class NativeRunnerUnavailable(PhonebookError):
    """The native runner cannot be built here. The message says why, and what would help."""

    exit_code = DeviceFailed.exit_code


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a runner is built for.

    Attributes:
        name: as a person calls the runner.
        compiler: the command.
        packages: what Debian calls the compiler and CMake.
        options: what CMake is told besides.
    """

    name: str
    compiler: str
    packages: str
    options: tuple[str, ...] = ()

    def tool(self, command: str) -> str:
        """Where that command lies.

        Raises:
            NativeRunnerUnavailable: nowhere.
        """
        path = shutil.which(command)
        if path is None:
            raise NativeRunnerUnavailable(
                f"{self.name} needs {command} to be built; "
                f"on Debian: apt-get install {self.packages}"
            )
        return path


HOST = Target(name="the native runner", compiler="c++", packages="cmake g++")


def native_runner() -> Path:
    """This computer's native runner, as a program.

    Raises:
        NativeRunnerUnavailable: no CMake, no C++ compiler, no ExecuTorch, or the build failed.
    """
    return build_runner(HOST, _executorch(), cache_dir())


def build_runner(target: Target, executorch: Path, cache: Path) -> Path:
    """The runner's program for a target, built now if it was not built before.

    Two callers at once build it once. What is built is kept by everything it was made from.

    Raises:
        NativeRunnerUnavailable: no CMake, no such compiler, or the build failed.
    """
    cmake, compiler = target.tool("cmake"), target.tool(target.compiler)
    folder = cache / "runner" / _hash(target, compiler, executorch)
    program = folder / PROGRAM
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "build.lock"):
        if not program.exists():
            _build(target, (cmake, compiler, executorch), folder)
    return program


def _build(target: Target, tools: tuple[str, str, Path], folder: Path) -> None:
    cmake, compiler, executorch = tools
    generator = ("-G", "Ninja") if shutil.which("ninja") else ()
    with tempfile.TemporaryDirectory(dir=folder) as scratch, (folder / _LOG).open("wb") as log:
        for command in (
            (
                *(cmake, "-S", str(SOURCES), "-B", scratch, *generator),
                *(f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_PREFIX_PATH={executorch}"),
                *target.options,
            ),
            (cmake, "--build", scratch),
        ):
            try:
                subprocess.run(command, stdout=log, stderr=log, timeout=BUILD_LIMIT_S, check=True)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                raise NativeRunnerUnavailable(
                    f"building {target.name} failed; the compiler's words are in {log.name}"
                ) from error
        # The last step: who finds the program finds it whole.
        os.replace(Path(scratch) / PROGRAM, folder / PROGRAM)


def _executorch() -> Path:
    """The installed package, which carries the C++ headers and libraries."""
    spec = find_spec("executorch")
    if spec is None or not spec.submodule_search_locations:
        raise NativeRunnerUnavailable("the native runner needs the executorch package")
    return Path(next(iter(spec.submodule_search_locations)))


def _hash(target: Target, compiler: str, executorch: Path) -> str:
    """Of all that the program is made from, and of where it will look for its libraries."""
    words = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, timeout=30, check=False
    ).stdout
    digest = hashlib.sha256()
    for part in (
        *(version("executorch"), str(executorch), platform.machine(), compiler, words),
        *target.options,
    ):
        digest.update(part.encode() + b"\0")
    for source in sorted(SOURCES.iterdir()):
        if source.suffix in (".h", ".cpp", ".txt"):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


app = command_line("python -m device_agent.runner.build", "Build the native runner.")


@app.default
def run() -> None:
    """Build the native runner unless that was done before, and print where it is."""
    sys.stdout.write(f"{native_runner()}\n")


if __name__ == "__main__":
    main(app)
