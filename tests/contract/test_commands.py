"""What people are told to run is what the programs take."""

import ast
import importlib
import shlex
from pathlib import Path
from uuid import UUID

import pytest

from contract import commands
from tests.fakes import RUNTIME

ROOT = Path(__file__).parents[2]


def test_a_runtime_adds_the_options_that_are_not_the_usual_ones() -> None:
    two = RUNTIME.evolve(threads=2, runner="native", protocol="in_situ")
    assert commands.profile("s8", space="fbnet-32", runtime=two, again=True) == (
        "python -m device_agent.run --device s8 --space fbnet-32 --threads 2 --again"
    )
    assert commands.audit("s8", runtime=two) == (
        "python -m device_agent.audit --device s8 --threads 2"
    )


@pytest.mark.parametrize("value", ["a b", "it's", "$(reboot)", "`x`"])
def test_what_a_person_wrote_stays_one_word(value: str) -> None:
    assert shlex.split(commands.profile("host", space=value))[-1] == value
    assert shlex.split(commands.serve("host", server=value))[-1] == value
    assert shlex.split(commands.revoke_token(value))[-1] == value


def test_what_is_left_out_is_not_asked_for() -> None:
    assert commands.serve() == "python -m device_agent.serve"
    assert commands.profile("host") == "python -m device_agent.run --device host"
    assert commands.search("A", "B") == "python -m search.run --device A --device B"


@pytest.mark.parametrize(
    "line",
    [
        commands.profile("host", space="fbnet-32", runtime=RUNTIME, again=True),
        commands.audit("host", space="fbnet-32", runtime=RUNTIME),
        commands.serve("galaxys8", server="http://table:8420"),
        commands.send_outbox(server="http://table:8420"),
        commands.examine("galaxys8"),
        commands.adopt_runner(),
        commands.cancel_job(UUID(int=7), server="http://table:8420"),
        commands.retry_job(UUID(int=7), server="http://table:8420"),
        commands.search("host", options=("--profile-missing",)),
        commands.predict("host", network="fbnet-a", measure="queue"),
        commands.server(),
        commands.create_token(role="agent", expires="90d"),
        commands.revoke_token("lab"),
        commands.set_default_runtime("host", RUNTIME),
        commands.bring_back_device("host"),
        commands.annotate_session(UUID(int=7)),
        commands.upgrade_schema(),
    ],
)
def test_the_program_takes_it(line: str) -> None:
    python, option, module, *words = shlex.split(line)
    assert (python, option) == ("python", "-m")
    file = Path(module.replace(".", "/"))
    name = f"{module}.__main__" if (ROOT / file).is_dir() else module
    importlib.import_module(name).app.parse_args(words, exit_on_error=False)


def test_no_message_spells_a_command_by_hand() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in ("contract", "device_agent", "search", "server")
        for path in (ROOT / package).rglob("*.py")
        if path.relative_to(ROOT) != Path("contract/commands.py")
        for line in spelled(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def spelled(tree: ast.Module) -> list[int]:
    """Lines of texts with a command in them, but for docstrings and the names of programs."""
    kept = {
        id(part)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "command_line")
        for part in ast.walk(node)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and id(node) not in kept
        and "python -m" in str(node.value)
    ]
