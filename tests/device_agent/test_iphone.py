"""An iPhone as a device, through a usbmuxd and an app that keep to their protocols."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from contract.errors import DeviceFailed
from contract.spaces import space
from device_agent.device import Device, Plan, ProgramFailed, ProgramFile
from device_agent.devices.ios.errors import (
    AppNotRunning,
    Asleep,
    LowPower,
    StorageFull,
    TooHot,
    Unplugged,
    UploadDamaged,
)
from device_agent.devices.ios.messages import MOST_PROGRAM_BYTES
from device_agent.measuring.checks import check_timing
from device_agent.measuring.journal import Journal
from device_agent.measuring.protocols.protocol import EFFORTS
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.session import Sitting
from tests.device_agent.conftest import OpensIPhone
from tests.device_agent.fake_app import FakeApp
from tests.device_agent.phones import program
from tests.fakes import RUNTIME, fake_export, fake_session
from tests.usbmux import Cabled, FakeUsbmuxd

PLAN = Plan(warmup_runs=1, min_runs=5, max_runs=10, min_duration_s=0.01, deadline_s=30.0)


def after(delay_s: float, act: Callable[[], object]) -> None:
    threading.Timer(delay_s, act).start()


def test_a_program_is_timed_by_the_app(iphone: OpensIPhone, app: FakeApp, tmp_path: Path) -> None:
    file = program(tmp_path, "good")
    with iphone() as device:
        assert device.runtime.key == ("xnnpack-float32-t1-contiguous-et1.5.1-native-any-isolated")
        assert device.origin == "measured"
        assert device.others_cpus() is None
        timing = device.time_program(file, PLAN)
    check_timing(timing, file, RUNTIME)
    assert timing.samples_ns == (5_000_000,) * 5
    assert timing.events == ()
    (job,) = app.posted
    assert (job["threads"], job["memory_format"], job["max_thermal"]) == (1, "contiguous", "fair")
    assert len(app.agents) == 1  # each request says whose it is
    assert "" not in app.agents


def test_a_trace_tells_the_operators_inside(
    iphone: OpensIPhone, app: FakeApp, tmp_path: Path
) -> None:
    with iphone(protocol="in_situ", threads=2) as device:
        (event,) = device.time_program(program(tmp_path, "good"), replace(PLAN, trace=True)).events
    assert event.samples_ns == (4_000_000,) * 5
    assert app.posted[0]["threads"] == 2


def test_it_says_what_it_is_and_how_it_is(iphone: OpensIPhone, app: FakeApp) -> None:
    app.thermal = "fair"
    with iphone() as device:
        described = device.describe()
        state = device.conditions()
    assert (described.model, described.soc, described.cores) == ("iPhone10,3", "A11 Bionic", 6)
    assert described.os == "iOS 16.7.10 (20H350)"
    assert (state.thermal, state.low_power, state.battery) == ("fair", False, 0.93)
    assert state.clock_mhz is None


def test_programs_are_uploaded_once(iphone: OpensIPhone, app: FakeApp, tmp_path: Path) -> None:
    files = [program(tmp_path, f"good {number}") for number in range(3)]
    with iphone() as device:
        device.store(files)
        device.store(files)
    with iphone() as device:
        device.store(files)
        device.time_program(files[0], PLAN)
    assert app.uploads == 3


def test_old_programs_make_room_for_new_ones(
    iphone: OpensIPhone, app: FakeApp, tmp_path: Path
) -> None:
    app.room = 10
    with iphone() as device:
        device.store([program(tmp_path, "old")])
        new = program(tmp_path, "new entry")
        device.time_program(new, PLAN)
        assert list(app.programs.values()) == [b"new entry"]
        with pytest.raises(StorageFull, match=r"storage is full .* the same command goes on"):
            device.store([program(tmp_path, "more than there is room for")])


def test_a_program_that_arrives_changed_is_sent_again_once(
    iphone: OpensIPhone, app: FakeApp, tmp_path: Path
) -> None:
    with iphone() as device:
        app.damages = 1
        device.time_program(program(tmp_path, "good"), PLAN)
        app.damages = 2
        with pytest.raises(UploadDamaged, match="Try another cable"):
            device.time_program(program(tmp_path, "good too"), PLAN)


def test_a_program_that_is_too_large_costs_itself_alone(
    iphone: OpensIPhone, tmp_path: Path
) -> None:
    large = program(tmp_path, "large")
    with large.path.open("r+b") as file:
        file.truncate(MOST_PROGRAM_BYTES + 1)  # a hole: it takes no room here
    good = program(tmp_path, "good")
    with iphone() as device:
        device.store([large, good])
        with pytest.raises(ProgramFailed, match="too large for the app, with 67 MB") as failed:
            device.time_program(large, PLAN)
        assert failed.value.code == "load_failed"
        device.time_program(good, PLAN)


def test_a_program_that_does_not_load_costs_itself_alone(
    iphone: OpensIPhone, tmp_path: Path
) -> None:
    with iphone() as device:
        with pytest.raises(ProgramFailed, match="not a program") as failed:
            device.time_program(program(tmp_path, "damaged"), PLAN)
        assert failed.value.code == "load_failed"
        device.time_program(program(tmp_path, "good"), PLAN)


def test_a_program_that_ends_the_app_each_time_costs_itself_alone(
    iphone: OpensIPhone, app: FakeApp, tmp_path: Path
) -> None:
    with iphone() as device:
        with pytest.raises(ProgramFailed, match="the app ended 3 times") as failed:
            device.time_program(program(tmp_path, "crash"), PLAN)
        assert failed.value.code == "crashed"
        device.time_program(program(tmp_path, "good"), PLAN)
    assert (
        len({job["job"] for job in app.posted}) == 2
    )  # the crashing one was posted again as it was


def test_a_job_that_was_lost_in_a_restart_is_posted_again(
    iphone: OpensIPhone, app: FakeApp, tmp_path: Path
) -> None:
    slow = program(tmp_path, "slow")
    with iphone() as device:
        app.on_post = [app.restart]
        check_timing(device.time_program(slow, PLAN), slow, RUNTIME)
    assert [job["job"] for job in app.posted] == [app.posted[0]["job"]] * 2


def test_a_program_that_the_app_lost_is_uploaded_again(
    iphone: OpensIPhone, app: FakeApp, tmp_path: Path
) -> None:
    good = program(tmp_path, "good")
    with iphone() as device:
        device.store([good])
        app.programs.clear()
        device.time_program(good, PLAN)
    assert app.uploads == 2


def test_a_pulled_cable_that_is_put_back_costs_nothing(
    iphone: OpensIPhone,
    app: FakeApp,
    usbmuxd: FakeUsbmuxd,
    cabled: Cabled,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    slow = program(tmp_path, "slow")
    with iphone() as device:
        app.on_post = [lambda: usbmuxd.unplug(cabled)]
        after(0.5, lambda: usbmuxd.plug(cabled))
        check_timing(device.time_program(slow, PLAN), slow, RUNTIME)
    assert len(app.posted) == 1  # it went on meanwhile
    said = capfd.readouterr().err
    assert "went away" in said
    assert "is back; going on" in said


@pytest.mark.parametrize(
    ("mishap", "error", "words"),
    [
        ("unplugged", Unplugged, "is not on the cable"),
        ("closed", AppNotRunning, "the Phonebook app does not run there; tap its icon"),
        ("asleep", Asleep, "the app sleeps; open it on the phone"),
        ("mute", Asleep, "the app does not answer"),
    ],
    ids=["unplugged", "closed", "asleep", "mute"],
)
def test_what_stays_away_ends_the_session_and_says_how_to_go_on(
    iphone: OpensIPhone,
    app: FakeApp,
    usbmuxd: FakeUsbmuxd,
    cabled: Cabled,
    tmp_path: Path,
    mishap: str,
    error: type[DeviceFailed],
    words: str,
) -> None:
    good = program(tmp_path, "good")
    with iphone(return_limit_s=0.2, answer_limit_s=0.2) as device:
        match mishap:
            case "unplugged":
                usbmuxd.unplug(cabled)
            case "closed":
                app.end()
            case "asleep":
                app.asleep = True
            case "mute":
                app.mute = True
        with pytest.raises(error, match=f"(?s){words}.*the same command goes on"):
            device.time_program(good, PLAN)
    match mishap:
        case "unplugged":
            usbmuxd.plug(cabled)
        case "closed":
            app.__enter__()
        case _:
            app.asleep = app.mute = False
    with iphone() as device:
        device.time_program(good, PLAN)


def test_a_job_that_is_broken_off_is_done_anew(
    iphone: OpensIPhone, app: FakeApp, tmp_path: Path
) -> None:
    good = program(tmp_path, "good")
    with iphone() as device:
        app.breaks = ["interrupted", "too_hot", "stopped"]
        check_timing(device.time_program(good, PLAN), good, RUNTIME)
        assert len({job["job"] for job in app.posted}) == 4
        app.breaks = ["interrupted"] * 5
        with pytest.raises(Asleep, match=r"5 times in a row .* leave the app open"):
            device.time_program(good, PLAN)


def test_a_program_that_does_not_end_is_stopped(
    iphone: OpensIPhone, app: FakeApp, tmp_path: Path
) -> None:
    with iphone(grace_s=0.1) as device:
        with pytest.raises(ProgramFailed, match=r"no end 0\.1 s after its deadline") as failed:
            device.time_program(program(tmp_path, "hang"), replace(PLAN, deadline_s=0.1))
        assert failed.value.code == "timed_out"
        device.time_program(program(tmp_path, "good"), PLAN)
    assert app.stopped == [app.posted[0]["job"]]


class TestCare:
    def test_a_warm_phone_is_waited_for(
        self,
        iphone: OpensIPhone,
        app: FakeApp,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with iphone() as device:
            app.looks = ["serious", "serious", "fair"]
            device.time_program(program(tmp_path, "good"), PLAN)
        said = capfd.readouterr().err
        assert "iPhone10,3: its heat is serious; waiting until it is cool" in said
        assert "going on" in said

    def test_one_that_stays_warm_or_is_critical_ends_the_session(
        self, iphone: OpensIPhone, app: FakeApp, tmp_path: Path
    ) -> None:
        good = program(tmp_path, "good")
        with iphone() as device:
            app.thermal = "serious"
            with pytest.raises(TooHot, match="let it cool, then run the same command"):
                device.time_program(good, PLAN)
            app.thermal = "critical"
            with pytest.raises(TooHot, match="iOS calls its heat critical"):
                device.time_program(good, PLAN)

    def test_one_that_saves_power_is_refused(
        self, iphone: OpensIPhone, app: FakeApp, tmp_path: Path
    ) -> None:
        good = program(tmp_path, "good")
        with iphone() as device:
            app.low_power = True
            with pytest.raises(LowPower, match="Settings > Battery"):
                device.time_program(good, PLAN)
            app.low_power = False
            app.breaks = ["low_power"]  # switched on after the look
            with pytest.raises(LowPower, match="Settings > Battery"):
                device.time_program(good, PLAN)


def test_a_session_survives_an_app_that_goes_away_twice(
    iphone: OpensIPhone, app: FakeApp, tmp_path: Path
) -> None:
    """Once it is back in time, and once the agent has to be started again."""
    operators = space("fbnet-32").operators[:2]
    planned = PROTOCOLS["isolated"].plan(
        operators, space=space("fbnet-32"), runtime=RUNTIME, effort="quick"
    )
    work = [replace(item, plans=(PLAN,)) for item in planned]  # short visits
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
            if visits == 2:
                app.restart()
            if visits == 4:
                app.end()

        with iphone(return_limit_s=0.2) as device, pytest.raises(AppNotRunning):
            sit(device, go_away)
        before = journal.visited(opened.session.id)
        assert len(before) == 4
        app.__enter__()
        with iphone() as device:
            sit(device, lambda: None)
        assert before < journal.visited(opened.session.id)
        assert len(journal.visited(opened.session.id)) == rounds * len(operators)
        assert journal.failures(opened.session.id) == {}
    assert app.uploads == len(operators)
