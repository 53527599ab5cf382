"""Programs: cached by content, exported in workers, whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from contract.errors import PhonebookError
from contract.networks import network, published
from contract.spaces import space
from device_agent.device import ProgramFile
from device_agent.programs.cache import ProgramCache
from device_agent.programs.inputs import pseudo_random
from device_agent.programs.program import Program
from device_agent.supervisor import Halted, Supervisor
from tests.fakes import fake_export

OPERATORS = space("fbnet-32").operators[:3]
PROGRAMS = [
    Program(content=operator, dtype="float32", memory_format="contiguous")
    for operator in OPERATORS
]


def failing_export(program: Program, file: ProgramFile) -> None:
    if program.name == OPERATORS[1].key:
        raise RuntimeError("cannot lower this")
    fake_export(program, file)


def export_to_a_full_disk(program: Program, file: ProgramFile) -> None:
    if program.name == OPERATORS[1].key:
        raise OSError(errno.ENOSPC, "No space left on device")
    fake_export(program, file)


def export_forever(program: Program, file: ProgramFile) -> None:
    if program.name != OPERATORS[0].key:
        time.sleep(3600)
    fake_export(program, file)


def export_and_die(program: Program, file: ProgramFile) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def export_and_die_in_company(program: Program, file: ProgramFile) -> None:
    """As one that the kernel ends for its memory where others export beside it."""
    if len(workers_of(psutil.Process().parent())) > 1:
        export_and_die(program, file)
    fake_export(program, file)


def workers_of(parent: psutil.Process | None) -> list[psutil.Process]:
    assert parent is not None
    return [each for each in parent.children() if "spawn_main" in " ".join(each.cmdline())]


def test_where_a_worker_dies_fewer_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exports = ProgramCache(tmp_path, workers=3).export(PROGRAMS, export_and_die_in_company)
    assert {exported.program for exported in exports} == {*PROGRAMS}
    assert "1 of them go on" in " ".join(capfd.readouterr().err.split())


def test_a_worker_that_dies_alone_ends_the_export_and_says_whose_it_was(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path, workers=2)
    with pytest.raises(PhonebookError, match=rf"exporting {PROGRAMS[0].name}: its worker"):
        list(cache.export(PROGRAMS, export_and_die))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_command_whatever_ends_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    script = f"""
from pathlib import Path
from contract.cli import command_line, main
from device_agent.programs.cache import ProgramCache
from tests.device_agent import test_programs as here

app = command_line("exports", "Export without an end.")

@app.default
def run() -> None:
    cache = ProgramCache(Path({str(tmp_path)!r}), workers=2)
    list(cache.export(here.PROGRAMS[1:], here.export_forever))

if __name__ == "__main__":
    main(app)
"""
    file = tmp_path / "exports.py"
    file.write_text(script)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    # A script that starts it in the background has SIGINT ignored, which a child inherits.
    start = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, str(file)], env=environment, preexec_fn=start, stderr=subprocess.PIPE
    ) as command:
        process = psutil.Process(command.pid)
        until = time.monotonic() + 60
        while len(workers := workers_of(process)) < 2:
            assert time.monotonic() < until
            time.sleep(0.1)
        time.sleep(1)
        command.send_signal(number)
        _, said = command.communicate(timeout=60)
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    if number != signal.SIGKILL:
        assert command.returncode == (130 if number == signal.SIGINT else -number)
        assert said.endswith(b"interrupted\n") == (number == signal.SIGINT)


def test_exporting_that_is_broken_off_ends_and_keeps_what_is_whole(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    exports = cache.export(PROGRAMS[:2], export_forever)
    assert next(exports).program == PROGRAMS[0]
    exports.close()
    assert [cache.file(program).path.exists() for program in PROGRAMS[:2]] == [True, False]


class Impatient(Supervisor):
    def check(self) -> None:
        raise Halted("enough")


def test_whoever_watches_may_break_off_exporting(tmp_path: Path) -> None:
    with pytest.raises(Halted):
        list(ProgramCache(tmp_path).export(PROGRAMS[1:2], export_forever, Impatient()))


def test_the_input_is_the_linear_congruential_generators() -> None:
    state, expected = 12345, []
    for _ in range(1000):
        state = (state * 1664525 + 1013904223) % 2**32
        expected.append((state >> 8) / 2**23 - 1)
    assert pseudo_random((10, 100)).ravel().tolist() == pytest.approx(expected, abs=1e-7)


def test_a_file_is_named_by_what_its_bytes_depend_on(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"1")
    base = Program(content=published("fbnet-a"), dtype="float32", memory_format="contiguous")
    variants = [
        base,
        replace(base, dtype="int8"),
        replace(base, memory_format="channels_last"),
        replace(base, weights=weights),
        replace(base, content=published("fbnet-s8")),
        replace(base, content=published("fbnet-a", in_space=space("fbnet-192"))),
        *PROGRAMS,
    ]
    assert len({program.file_stem for program in variants}) == len(variants)
    before = replace(base, weights=weights).file_stem
    weights.write_bytes(b"2")
    assert replace(base, weights=weights).file_stem != before


def test_the_same_network_under_another_name_has_the_same_content() -> None:
    blocks = published("fbnet-a").blocks
    again = network(blocks, space=space("fbnet-224"), name="mine", head_channels=1504)
    first, second = (
        Program(content=content, dtype="float32", memory_format="contiguous").file_stem
        for content in (published("fbnet-a"), again)
    )
    assert first.removeprefix("fbnet-a-") == second.removeprefix("mine-")


def test_a_second_export_comes_from_the_cache(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    first = list(cache.export(PROGRAMS, fake_export))
    second = list(cache.export(PROGRAMS, failing_export))
    assert [exported.was_cached for exported in first] == [False] * 3
    assert [exported.was_cached for exported in second] == [True] * 3
    assert {exported.file for exported in first} == {exported.file for exported in second}


def test_one_failed_export_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    by_name = {e.program.name: e for e in ProgramCache(tmp_path).export(PROGRAMS, failing_export)}
    failed = by_name.pop(OPERATORS[1].key)
    assert (failed.file, failed.error) == (None, "RuntimeError: cannot lower this")
    assert all(exported.file and exported.file.path.exists() for exported in by_name.values())


def test_a_full_disk_is_no_failure_of_the_operator(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    with pytest.raises(PhonebookError, match=r"No space left on device.*run the same command"):
        list(cache.export(PROGRAMS, export_to_a_full_disk))
    assert [each.error for each in cache.export(PROGRAMS, fake_export)] == [None] * 3
