"""A disk without room is the computer's failure: no operator is blamed for it."""

import sys
from pathlib import Path

import pytest

from contract.runtime import Runner
from tests.device_agent.conftest import Programs
from tests.device_agent.runners import RUNNERS
from tests.small_disk import on_small_disk

pytestmark = pytest.mark.slow

VISIT = """
import sys
from pathlib import Path
from contract.cli import command_line, main
from contract.runtime import RuntimeRequest
from device_agent.device import Plan, ProgramFile
from device_agent.devices.host.computer import Host

app = command_line("visit", "")

@app.default
def visit(program: Path, runner: str, trace: bool, temporary: Path) -> None:
    plan = Plan(warmup_runs=1, min_runs=2, max_runs=2, min_duration_s=0, deadline_s=9, trace=trace)
    with Host(RuntimeRequest(protocol="isolated", runner=runner)) as host:
        with (temporary / "filled").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        host.time_program(ProgramFile(program), plan)

main(app)
"""


def visited(
    programs: Programs, temporary: Path, runner: Runner, *, trace: bool
) -> tuple[int, str]:
    words = (str(programs.networks["float32"].path), runner, str(trace), str(temporary))
    done = on_small_disk(
        temporary,
        [sys.executable, "-c", VISIT, *words],
        size="1500k",
        environment={"TMPDIR": str(temporary)},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_temporary_folder_that_fills_up_is_the_computers_failure(
    programs: Programs, tmp_path: Path, runner: Runner, trace: bool
) -> None:
    code, said = visited(programs, tmp_path, runner, trace=trace)
    assert code == 5, said
    assert f"the disk of {tmp_path} is full" in said
    assert "let TMPDIR name another folder; what was measured is kept" in said
