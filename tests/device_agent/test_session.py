"""Sessions: shuffled rounds, resumed where they stopped, failures stored with a code."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from contract.errors import DeviceFailed
from contract.spaces import space
from contract.timings import Timing
from contract.visits import Layout, Series, Visit
from device_agent.device import ProgramFile
from device_agent.measuring.journal import Journal, OpenSession
from device_agent.measuring.protocols.protocol import EFFORTS
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.session import Sitting
from tests.fakes import RUNTIME, FakeDevice, fake_export, fake_session

OPERATORS = space("fbnet-32").operators[:6]
US = {operator.key: 10.0 + index for index, operator in enumerate(OPERATORS)}
SERVER = "http://server"
ROUNDS = EFFORTS["quick"].rounds


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


@pytest.fixture
def opened(journal: Journal) -> OpenSession:
    return journal.begin(SERVER, fake_session(effort="quick"), OPERATORS)


def run(
    opened: OpenSession, device: FakeDevice, journal: Journal, folder: Path
) -> dict[str, Timing]:
    work = PROTOCOLS["isolated"].plan(
        OPERATORS, space=space("fbnet-32"), runtime=RUNTIME, effort="quick"
    )
    files = {ProgramFile(folder / f"{item.program.name}.pte"): item for item in work}
    for file, item in files.items():
        fake_export(item.program, file)
    sitting = Sitting(opened, files, device=device, journal=journal)
    sitting.measure(before_round=lambda: None, on_visit=lambda: None, on_more=lambda *_: None)
    return {timing.operator.key: timing for timing in sitting.close()[1]}


def test_every_operator_is_visited_once_a_round_in_changing_order(
    opened: OpenSession, journal: Journal, tmp_path: Path
) -> None:
    device = FakeDevice(US)
    timings = run(opened, device, journal, tmp_path)
    count = len(OPERATORS)
    rounds = [device.visits[start : start + count] for start in range(0, ROUNDS * count, count)]
    assert all(sorted(visits) == sorted(US) for visits in rounds)
    assert len({tuple(visits) for visits in rounds}) > ROUNDS / 2
    assert {key: timing.rounds_us[0][0] for key, timing in timings.items()} == US
    assert all(len(timing.rounds_us) == ROUNDS for timing in timings.values())


@pytest.mark.parametrize("stop_after", [0, 1, 7, 29])
def test_an_interrupted_session_goes_on_and_repeats_nothing(
    opened: OpenSession, journal: Journal, tmp_path: Path, stop_after: int
) -> None:
    whole = FakeDevice(US)
    left = stop_after

    def pull_the_cable(key: str) -> None:
        nonlocal left
        if left == 0:
            raise DeviceFailed("bench: gone")
        left -= 1

    leaving = FakeDevice(US, pull_the_cable)
    with pytest.raises(DeviceFailed):
        run(opened, leaving, journal, tmp_path)
    assert journal.waiting(SERVER) == 0

    with Journal(tmp_path / "journal.db") as after_restart:
        found = after_restart.open_session(SERVER, "bench", RUNTIME, "fbnet-32")
        assert found == opened
        timings = run(found, whole, after_restart, tmp_path)
        assert Counter(leaving.visits + whole.visits) == dict.fromkeys(US, ROUNDS)
        assert {len(timing.rounds_us) for timing in timings.values()} == {ROUNDS}
        assert after_restart.open_session(SERVER, "bench", RUNTIME, "fbnet-32") is None
        assert after_restart.waiting(SERVER) == len(OPERATORS)


def test_a_session_goes_on_on_the_very_unit_it_was_begun_on(journal: Journal) -> None:
    units = {unit: fake_session().evolve(unit=unit) for unit in ("one", "two")}
    for session in units.values():
        journal.begin(SERVER, session, OPERATORS)

    def found(unit: str) -> UUID | None:
        opened = journal.open_session(SERVER, "bench", RUNTIME, "fbnet-32", unit=unit)
        return opened.session.id if opened else None

    assert {unit: found(unit) for unit in units} == {unit: units[unit].id for unit in units}
    assert found("three") is None


def test_a_program_that_fails_is_stored_with_its_code_and_not_tried_again(
    opened: OpenSession, journal: Journal, tmp_path: Path
) -> None:
    broken = OPERATORS[2].key
    tried: list[str] = []
    device = FakeDevice({key: us for key, us in US.items() if key != broken}, tried.append)
    timings = run(opened, device, journal, tmp_path)
    failure = timings.pop(broken).failure
    assert failure is not None
    assert (failure.code, tried.count(broken)) == ("load_failed", 1)
    assert all(timing.failure is None for timing in timings.values())


def test_an_output_that_differs_from_eager_is_no_timing(
    opened: OpenSession, journal: Journal, tmp_path: Path
) -> None:
    device = FakeDevice(US)
    device.output = (np.arange(8, dtype=np.float32) + 1).tobytes()
    messages = {
        timing.failure.message
        for timing in run(opened, device, journal, tmp_path).values()
        if timing.failure
    }
    assert messages == {"differs from eager PyTorch by 1, allowed 0.007"}


@pytest.mark.parametrize("output", [b"", np.full(8, np.nan, dtype=np.float32).tobytes()])
def test_an_output_of_another_size_or_of_nan_is_no_timing(
    opened: OpenSession, journal: Journal, tmp_path: Path, output: bytes
) -> None:
    device = FakeDevice(US)
    device.output = output
    codes = {
        timing.failure.code
        for timing in run(opened, device, journal, tmp_path).values()
        if timing.failure
    }
    assert codes == {"wrong_output"}


def test_a_clock_that_stands_still_gives_no_timing(
    opened: OpenSession, journal: Journal, tmp_path: Path
) -> None:
    timings = run(opened, FakeDevice(dict.fromkeys(US, 0.0)), journal, tmp_path)
    assert {t.failure.code for t in timings.values() if t.failure} == {"bad_samples"}


def test_samples_of_a_program_that_was_exported_anew_are_not_mixed(
    opened: OpenSession, journal: Journal, tmp_path: Path
) -> None:
    old = Visit(
        program="of-an-older-exporter",
        round=0,
        made_at=datetime.now(UTC),
        series=(Series(samples_ns=(999_000,), probes_ns=(54_000, 54_000)),),
    )
    layout = Layout(program=old.program, operators=(OPERATORS[0].key,))
    journal.add_visit(opened.session.id, layout, old)
    timings = run(opened, FakeDevice(US), journal, tmp_path)
    assert len(timings[OPERATORS[0].key].rounds_us) == ROUNDS
    assert all(us == 10.0 for samples in timings[OPERATORS[0].key].rounds_us for us in samples)


FILL_THE_DISK = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from contract.errors import PhonebookError
from contract.visits import Layout, Series, Visit
from device_agent.measuring.journal import Journal
from tests.fakes import fake_session

session = fake_session()
layout = Layout(program="program", operators=("k",))
series = Series(samples_ns=(1000,) * 500, probes_ns=(1000,) * 501)
visit = Visit(program="program", round=0, made_at=datetime.now(UTC), series=(series,))
with Journal(Path(sys.argv[1])) as journal:
    journal.begin("http://server", session, [])
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    for number in range(1000):
        try:
            journal.add_visit(session.id, layout, visit.evolve(round=number))
        except PhonebookError as error:
            print(number, session.id, error)
            break
"""


def test_a_full_disk_is_told_and_loses_no_visit(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    kept, session, message = done.stdout.split(maxsplit=2)
    assert "what was measured so far is kept there" in message
    assert "run the same command to go on" in message
    with Journal(path) as journal:
        assert len(journal.visited(UUID(session))) == int(kept) > 3
