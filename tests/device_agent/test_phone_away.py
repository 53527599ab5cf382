"""A phone that goes away and comes back, and what is left running on one."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from contract.errors import DeviceFailed
from contract.spaces import space
from device_agent.device import Device, ProgramFile
from device_agent.devices.android.adb.errors import PhoneLost
from device_agent.devices.android.phone import AndroidPhone
from device_agent.measuring.checks import check_timing
from device_agent.measuring.journal import Journal
from device_agent.measuring.protocols.protocol import EFFORTS
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.session import Sitting
from tests.adbd import Adbd
from tests.device_agent.phones import (
    PLAN,
    PROPERTIES,
    FakeS8,
    Opens,
    once_at_work,
    program,
    runners,
)
from tests.fakes import RUNTIME, fake_export, fake_session


def test_a_pulled_cable_that_is_put_back_costs_nothing(
    phone: Opens, adbd: Adbd, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    slow = program(tmp_path, "slow")
    with phone() as device:
        once_at_work(s8, adbd.hang_up)
        check_timing(device.time_program(slow, PLAN), slow, RUNTIME)
        assert len(runners(s8)) == 1
    said = capfd.readouterr().err
    assert "went away" in said
    assert "is back" in said


def test_a_phone_that_restarts_is_waited_for_until_it_is_up(
    phone: Opens, adbd: Adbd, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with phone() as device:
        s8.write("proc/sys/kernel/random/boot_id", "second")
        s8.properties({**PROPERTIES, "sys.boot_completed": "0"})
        adbd.hang_up()
        threading.Timer(1.5, s8.properties, [PROPERTIES]).start()
        began = time.monotonic()
        device.time_program(program(tmp_path, "good"), PLAN)
        assert time.monotonic() - began > 1
    assert "is back, restarted; going on" in capfd.readouterr().err


def test_an_output_that_is_cut_is_measured_again(phone: Opens, adbd: Adbd, tmp_path: Path) -> None:
    good = program(tmp_path, "good")
    with phone() as device:
        device.time_program(good, PLAN)
        for after in (10, 700):
            adbd.phone.faults.hang_up_after = after
            threading.Timer(0.5, setattr, (adbd.phone.faults, "hang_up_after", None)).start()
            check_timing(device.time_program(good, PLAN), good, RUNTIME)


def test_a_phone_that_stays_away_ends_the_session_and_says_how_to_go_on(
    phone: Opens, adbd: Adbd, tmp_path: Path
) -> None:
    with phone(return_limit_s=0.5) as device:
        adbd.phone.faults.refuse_connections = True
        adbd.hang_up()
        with pytest.raises(PhoneLost, match="bring it back there, then run the same command"):
            device.time_program(program(tmp_path, "good"), PLAN)
    adbd.phone.faults.refuse_connections = False
    with phone() as device:
        device.time_program(program(tmp_path, "good"), PLAN)


def test_a_key_that_was_revoked_is_asked_for_again(
    phone: Opens, adbd: Adbd, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    adbd.phone.needs_key = True
    with phone() as device:
        adbd.keys.clear()
        adbd.hang_up()
        device.time_program(program(tmp_path, "good"), PLAN)
    assert capfd.readouterr().err.count("accept the key on it") == 2


@pytest.mark.slow
def test_a_session_survives_a_phone_that_goes_away_twice(
    phone: Opens, adbd: Adbd, tmp_path: Path
) -> None:
    """Once it is back in time, and once the agent has to be started again."""
    operators = space("fbnet-32").operators[:3]
    work = PROTOCOLS["isolated"].plan(
        operators, space=space("fbnet-32"), runtime=RUNTIME, effort="quick"
    )
    files = {ProgramFile(tmp_path / f"{item.program.name}.pte"): item for item in work}
    for file, item in files.items():
        fake_export(item.program, file)
    rounds = EFFORTS["quick"].rounds
    visits = 0

    with Journal(tmp_path / "journal.db") as journal:
        opened = journal.begin("http://server", fake_session(effort="quick"), operators)

        def sit(device: Device, on_visit: Callable[[], None]) -> None:
            Sitting(opened, files, device=device, journal=journal).measure(
                before_round=lambda: None, on_visit=on_visit, on_more=lambda *_: None
            )

        def go_away() -> None:
            nonlocal visits
            visits += 1
            if visits in (5, 10):
                adbd.hang_up()
            adbd.phone.faults.refuse_connections = visits == 10

        with phone(return_limit_s=2.0) as device, pytest.raises(PhoneLost):
            sit(device, go_away)
        before = journal.visited(opened.session.id)
        assert len(before) == 10
        adbd.phone.faults.refuse_connections = False
        with phone() as device:
            sit(device, lambda: None)
        assert before < journal.visited(opened.session.id)
        assert len(journal.visited(opened.session.id)) == rounds * len(operators)
        assert journal.failures(opened.session.id) == {}


def test_what_an_agent_that_died_left_running_is_ended(
    phone: Opens,
    opened_phone: Callable[[], AndroidPhone],
    adbd: Adbd,
    s8: FakeS8,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    dead = opened_phone()
    dead.__enter__()
    once_at_work(s8, adbd.hang_up)
    with suppress(DeviceFailed):
        dead._visit(program(tmp_path, "silent"), PLAN)
    dead._connection.close()
    assert len(runners(s8)) == 1
    with phone() as device:
        device.time_program(program(tmp_path, "good"), PLAN)
        assert len(runners(s8)) == 1
    assert "ended 1 processes that an earlier agent left running" in capfd.readouterr().err


def test_ctrl_c_leaves_nothing_running(phone: Opens, s8: FakeS8, tmp_path: Path) -> None:
    s8.write("setting", "2")
    once_at_work(s8, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), phone() as device:
        device.time_program(program(tmp_path, "silent"), PLAN)
    assert runners(s8) == []
    assert s8.read("setting") == "2\n"
