"""What somebody gets who builds a wheel and installs it elsewhere."""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest

from contract.version import DISTRIBUTION

ROOT = Path(__file__).parent.parent
PACKAGES = ("contract", "device_agent", "migrations", "search", "server")
NO_SOURCES = {".build", "__pycache__"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network, of a copy: building leaves files beside the sources."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, source)
    for name in (*PACKAGES, "tests", "scripts", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=lambda _, files: NO_SOURCES & {*files})
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, which borrows what it depends on from this one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    executable = folder / "bin" / "python"
    pip("--python", str(executable), "install", "--no-deps", "--no-index", str(wheel))
    (packages,) = folder.glob("lib/python*/site-packages")
    # A plain path: what is installed there as a checkout stays out.
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return executable


def pip(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def run(python: Path, *words: str, within: Path) -> str:
    done = subprocess.run(
        [python, *words], cwd=within, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(wheel: Path) -> Sequence[str]:
    with ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_it_has_a_name_of_its_own_and_brings_these_packages_alone(wheel: Path) -> None:
    assert wheel.name.startswith(f"{DISTRIBUTION.replace('-', '_')}-")
    tops = {name.partition("/")[0] for name in names(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {*PACKAGES}
    assert not [name for name in names(wheel) if name.endswith("entry_points.txt")]


@pytest.mark.slow
def test_whatever_is_no_python_is_there_too(wheel: Path) -> None:
    """As far as git knows of it; the iPhone app is built from what is there."""
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert any(name.startswith("device_agent/ios_app/Sources") for name in tracked)
    outside = {"server/Dockerfile"}  # of no use without the checkout
    assert sorted({*tracked} - {*names(wheel)}) == sorted(outside)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "server",
        "server.tokens",
        "server.devices",
        "device_agent.run",
        "device_agent.doctor",
        "search.run",
        "search.predict",
    ],
)
def test_its_commands_say_what_they_do(python: Path, tmp_path: Path, command: str) -> None:
    assert f"python -m {command}" in run(python, "-m", command, "--help", within=tmp_path)


@pytest.mark.slow
def test_a_database_is_made_and_pages_are_drawn(python: Path, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/new.db"
    run(python, "-m", "server.schema", "upgrade", "--database-url", database, within=tmp_path)
    code = f"""
from fastapi.testclient import TestClient
from server.app import create_app
from server.database.engine import open_database
from server.settings import Settings
import server
app = create_app(open_database({database!r}), Settings(open_reads=True))
with TestClient(app) as client:
    for path in ("/", "/static/phonebook.css", "/spaces", "/readyz"):
        assert client.get(path).status_code == 200, path
print(server.__file__)
"""
    assert str(python.parents[1]) in run(python, "-c", code, within=tmp_path)


def test_spaces_sources_of_the_runner_and_the_version_are_found(
    python: Path, tmp_path: Path
) -> None:
    code = """
from contract.spaces import space
from contract.version import installed_version
from device_agent.runner.build import SOURCES
assert space("fbnet-32").operators
assert (SOURCES / "CMakeLists.txt").exists() and (SOURCES / "runner.cpp").exists()
assert (SOURCES.parent / "ios_app" / "README.md").exists()
print(installed_version())
"""
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert run(python, "-c", code, within=tmp_path).strip() == version[1]


def test_only_one_place_tells_people_what_to_install() -> None:
    told = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"pip install|phonebook\[|\"install\"", path.read_text(encoding="utf-8"))
    ]
    assert told == ["contract/commands.py"]
