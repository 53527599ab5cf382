"""A command that says what it can do does not load what does it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "executorch", "torchao", "sklearn", "datasets", "numpy"}
OF_THE_SERVER = {"sqlalchemy", "alembic", "fastapi", "uvicorn", "plotly"}


def commands() -> list[str]:
    """Every module of the programs that ends as a command line does."""
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for package in ("search", "device_agent", "server")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"^    main\(app\)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    )


def imports_of(*command: str) -> set[str]:
    """The packages that a command imports until it ends, by their first names."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    named = re.findall(r"^import time:.*\| +([\w.]+)$", done.stderr, re.MULTILINE)
    return {name.partition(".")[0] for name in named}


def test_every_command_is_known() -> None:
    assert {f"search.{name}" for name in ("run", "train", "predict", "compare", "export")} <= {
        *commands()
    }
    assert {"server", "server.tokens", "device_agent.run", "device_agent.serve"} <= {*commands()}


@pytest.mark.parametrize("command", commands())
def test_help_loads_nothing_that_works(command: str) -> None:
    loaded = imports_of(command, "--help")
    assert "cyclopts" in loaded
    assert not loaded & (HEAVY | OF_THE_SERVER)


def test_networks_are_listed_without_what_builds_them() -> None:
    assert not imports_of("search.predict", "--list") & HEAVY


@pytest.mark.parametrize("command", ["server", "device_agent.run", "search.predict"])
def test_ctrl_c_during_the_first_imports_is_one_word(command: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'cyclopts':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", command, "--help"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "interrupted\n")
