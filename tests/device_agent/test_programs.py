"""Programs: cached by content, exported in workers, whole or not at all."""

import errno
import time
from dataclasses import replace
from pathlib import Path

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
