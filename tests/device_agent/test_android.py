"""An Android phone as a device, through a fake phone that is true to the protocol."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from contract.errors import DeviceFailed, PhonebookError
from contract.runtime import RuntimeRequest
from contract.spaces import space
from device_agent.device import Device, Plan, ProgramFailed, ProgramFile
from device_agent.devices.android.adb.errors import PhoneLost, PhoneNotFound, StorageFull
from device_agent.devices.android.care import Asleep, Limits, TooHot
from device_agent.devices.android.kind import list_attached
from device_agent.devices.android.phone import AndroidPhone
from device_agent.devices.registry import find_serials, open_device
from device_agent.measuring.checks import check_timing
from device_agent.measuring.journal import Journal
from device_agent.measuring.protocols.protocol import EFFORTS
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.session import Sitting
from tests.adbd import Adbd
from tests.device_agent.phones import BIG_KHZ, PROPERTIES, FakeS8, Opens, program
from tests.fakes import RUNTIME, fake_export, fake_session

PLAN = Plan(warmup_runs=1, min_runs=5, max_runs=10, min_duration_s=0.01, deadline_s=30.0)


def runners(s8: FakeS8) -> list[psutil.Process]:
    """The fake runners of that phone that are alive."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if words[1:2] == ["./phonebook-runner"] and str(s8.adb.root) in process.cwd():
                found.append(process)
    return found


def test_a_program_is_timed_on_the_big_cores_that_were_found(
    phone: Opens, s8: FakeS8, tmp_path: Path
) -> None:
    file = program(tmp_path, "good")
    with phone() as s8_device:
        assert s8_device.runtime.key == (
            "xnnpack-float32-t1-contiguous-et1.5.1-native-cpu4.5.6.7-isolated"
        )
        assert s8_device.origin == "measured"
        timing = s8_device.time_program(file, PLAN)
        check_timing(timing, file, RUNTIME)
        assert timing.samples_ns == (5_000_000,) * 10
    assert json.loads(s8.read("arguments")) == {"--threads": "1", "--cpus": "4,5,6,7"}
    assert runners(s8) == []


def test_a_person_may_choose_cores_and_threads(phone: Opens) -> None:
    with phone(cpus=(1, 0), threads=2) as device:
        assert device.runtime.affinity == "cpu0.1"
        found = {finding.what: finding for finding in device.examine()}
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found["threads"].found == "2 in the pool, 2 asked for"
    assert found["clusters"].found == "4 up to 2314 MHz, 4 up to 1690 MHz"


def test_cores_that_the_phone_denies_are_not_silently_left_out(phone: Opens, s8: FakeS8) -> None:
    s8.write("proc/self/status", "Cpus_allowed_list:\t0-3,6")
    with pytest.raises(PhonebookError, match="on CPUs 0,1,2,3,6 only, not on all of 4,5,6,7"):
        phone()


def test_cores_that_are_off_are_not_mistaken_for_slow_ones(phone: Opens, s8: FakeS8) -> None:
    s8.switch_off_big_cores()
    with pytest.raises(PhonebookError, match="has switched off its CPUs 4,5,6,7"):
        phone()
    with phone(cpus=(0,)) as device:
        assert device.describe().cores == 8


def test_more_threads_than_big_cores_take_in_the_next_cluster(phone: Opens) -> None:
    with phone(threads=5) as device:
        assert device.runtime.affinity == "cpu0.1.2.3.4.5.6.7"


def test_it_says_what_it_is_and_how_it_is(phone: Opens, s8: FakeS8) -> None:
    with phone() as device:
        described = device.describe()
        state = device.conditions()
    assert (described.model, described.soc, described.cores) == ("SM-G950F", "exynos8895", 8)
    assert described.memory_bytes == 3_850_000 * 1024
    assert described.os.startswith("Android 9, Linux ")
    assert (state.load_1min, state.temperature_c, state.battery_c) == (1.5, 41.0, 31.0)
    assert state.clock_mhz == state.clock_limit_mhz == BIG_KHZ / 1000
    assert (state.battery, state.is_charging, state.is_awake) == (0.8, True, True)
    assert state.governor == "interactive"


def test_what_others_do_is_told_apart_from_our_runner(phone: Opens, s8: FakeS8) -> None:
    with phone() as device:
        assert device.others_cpus() is None  # nothing to compare with
        s8.busy(uptime_s=110.0, busy_s=75.0)
        assert device.others_cpus() == pytest.approx(2.5)


def test_programs_and_runner_are_pushed_once(phone: Opens, s8: FakeS8, tmp_path: Path) -> None:
    files = [program(tmp_path, f"good {number}") for number in range(3)]
    with phone() as device:
        device.store(files)
        there = s8.programs
        assert len(there) == 3
    # From now on the phone has no room, and needs none.
    s8.adb.faults.storage_full = True
    with phone() as device:
        device.store(files)
        device.time_program(files[0], PLAN)
    assert s8.programs == there


def test_old_programs_make_room_for_new_ones(phone: Opens, s8: FakeS8, tmp_path: Path) -> None:
    with phone() as device:
        device.store([program(tmp_path, "old")])
        s8.write("free_kib", "10")
        with pytest.raises(StorageFull, match="storage is full"):
            device.store([program(tmp_path, "new")])
    assert s8.programs == []


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("damaged", "load_failed", "not a program"),
        ("crash", "crashed", "SIGKILL: last words"),
        ("cut", "crashed", "exit code 3"),
        ("silent", "timed_out", "no sign of life"),
    ],
)
def test_a_bad_program_costs_itself_alone(
    phone: Opens, s8: FakeS8, tmp_path: Path, content: str, code: str, words: str
) -> None:
    with phone(silence_limit_s=1.0) as device:
        with pytest.raises(ProgramFailed, match=words) as failed:
            device.time_program(program(tmp_path, content), PLAN)
        assert failed.value.code == code
        good = program(tmp_path, "good")
        check_timing(device.time_program(good, PLAN), good, RUNTIME)
    assert runners(s8) == []


def test_a_full_storage_is_the_phones_failure_and_no_programs(
    phone: Opens, tmp_path: Path
) -> None:
    with phone() as device, pytest.raises(StorageFull, match="the same command goes on"):
        device.time_program(program(tmp_path, "full"), PLAN)


def test_a_pulled_cable_that_is_put_back_costs_nothing(
    phone: Opens, adbd: Adbd, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    slow = program(tmp_path, "slow")
    with phone() as device:
        threading.Timer(0.5, adbd.hang_up).start()
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
    threading.Timer(1.0, adbd.hang_up).start()
    with suppress(DeviceFailed):
        dead._visit(program(tmp_path, "silent"), PLAN)
    dead._connection.close()
    assert len(runners(s8)) == 1
    with phone() as device:
        device.time_program(program(tmp_path, "good"), PLAN)
        assert len(runners(s8)) == 1
    assert "ended 1 processes that an earlier agent left running" in capfd.readouterr().err


class TestCare:
    def test_the_phone_stays_awake_and_is_left_as_it_was_found(
        self, phone: Opens, s8: FakeS8
    ) -> None:
        s8.write("setting", "2")
        s8.write("power", "mWakefulness=Asleep")
        with phone() as device:
            assert s8.read("setting") == "7\n"
            assert device.conditions().is_awake
        assert s8.read("setting") == "2\n"
        assert "Asleep" in s8.read("power")

    def test_a_setting_that_was_never_set_is_unset_again(self, phone: Opens, s8: FakeS8) -> None:
        with phone():
            assert s8.has("setting")
        assert not s8.has("setting")

    def test_a_killed_agents_setting_is_mended_by_the_next(
        self, phone: Opens, opened_phone: Callable[[], AndroidPhone], s8: FakeS8
    ) -> None:
        s8.write("setting", "2")
        killed = opened_phone()
        killed.__enter__()
        killed._connection.close()
        assert s8.read("setting") == "7\n"
        with phone():
            pass
        assert s8.read("setting") == "2\n"

    def test_a_phone_that_does_not_wake_is_refused(self, phone: Opens, s8: FakeS8) -> None:
        s8.write("power", "mWakefulness=Asleep")
        s8.write("stubborn", "")
        with pytest.raises(Asleep, match="press its power button"), phone():
            pass

    def test_a_phone_that_falls_asleep_is_no_programs_failure(
        self, phone: Opens, s8: FakeS8, tmp_path: Path
    ) -> None:
        with phone(silence_limit_s=1.0, limits=Limits(look_every_s=60)) as device:
            device.time_program(program(tmp_path, "good"), PLAN)
            s8.write("power", "mWakefulness=Asleep")
            with pytest.raises(Asleep, match="fell asleep"):
                device.time_program(program(tmp_path, "silent"), PLAN)

    def test_a_warm_phone_is_waited_for(
        self, phone: Opens, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with phone(limits=Limits(look_every_s=0, pause_s=0.1)) as device:
            s8.battery(c=40)
            threading.Timer(0.6, s8.battery, kwargs={"c": 35}).start()
            began = time.monotonic()
            device.time_program(program(tmp_path, "good"), PLAN)
            assert time.monotonic() - began > 0.5
        assert "its battery has 40 °C; waiting until it is cool" in capfd.readouterr().err

    def test_a_phone_that_does_not_cool_or_is_too_hot_ends_the_session(
        self, phone: Opens, s8: FakeS8, tmp_path: Path
    ) -> None:
        with phone() as device:
            s8.battery(c=40)
            with pytest.raises(TooHot, match="let it cool"):
                device.time_program(program(tmp_path, "good"), PLAN)
            s8.battery(c=46)
            with pytest.raises(TooHot, match=r"more than the 45 it may have"):
                device.time_program(program(tmp_path, "good"), PLAN)

    def test_a_clock_that_is_held_down_is_waited_for(
        self, phone: Opens, s8: FakeS8, tmp_path: Path
    ) -> None:
        with phone() as device:
            s8.hold_clock_down(1_700_000)
            with pytest.raises(TooHot, match="held down to 1700 MHz"):
                device.time_program(program(tmp_path, "good"), PLAN)

    def test_a_cool_phone_that_always_holds_it_down_is_measured_and_says_so(
        self, phone: Opens, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        s8.hold_clock_down(1_700_000)
        with phone() as device:
            device.time_program(program(tmp_path, "good"), PLAN)
            assert device.conditions().clock_limit_mhz == 1700
        assert "down to 1700 MHz of 2314 though it is cool" in capfd.readouterr().err


@pytest.mark.parametrize(
    "sign",
    [{"ro.kernel.qemu": "1"}, {"ro.boot.qemu": "1"}, {"ro.hardware": "ranchu"}, "an x86 CPU"],
)
def test_an_emulator_is_marked_as_one(
    phone: Opens, s8: FakeS8, sign: dict[str, str] | str, capfd: pytest.CaptureFixture[str]
) -> None:
    if isinstance(sign, dict):
        s8.properties(PROPERTIES | sign)
    else:
        s8.write("proc/cpuinfo", "processor : 0\nvendor_id : GenuineIntel")
    with phone() as device:
        assert device.origin == "emulated"
        assert device.describe().model == "SM-G950F (emulated)"
    assert "is an emulator" in capfd.readouterr().err


def test_another_phone_than_the_one_named_is_refused_with_its_name(
    phone: Opens, s8: FakeS8
) -> None:
    s8.properties(PROPERTIES | {"ro.product.model": "Pixel 8"})
    with pytest.raises(PhoneNotFound, match="is a Pixel 8, not a galaxys8: --device pixel-8"):
        phone()
    with phone("pixel-8") as device:
        assert device.describe().model == "Pixel 8"


def test_two_agents_do_not_share_a_phone(phone: Opens) -> None:
    with phone(), pytest.raises(DeviceFailed, match="another agent is measuring there"):
        phone()


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


def test_ctrl_c_leaves_nothing_running(phone: Opens, s8: FakeS8, tmp_path: Path) -> None:
    def interrupt() -> None:
        until = time.monotonic() + 30
        while not runners(s8) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    s8.write("setting", "2")
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt), phone() as device:
        device.time_program(program(tmp_path, "silent"), PLAN)
    assert runners(s8) == []
    assert s8.read("setting") == "2\n"


def test_phones_that_answer_are_listed(adbd: Adbd) -> None:
    assert list_attached() == ((adbd.serial, "galaxys8"),)
    assert find_serials("galaxys8") == (adbd.serial,)
    assert find_serials("pixel-8") == ()
    asked = adbd.connections
    assert find_serials("galaxys8") == (adbd.serial,)
    assert adbd.connections == asked


def test_what_a_phone_cannot_do_is_refused(adbd: Adbd) -> None:
    with pytest.raises(PhonebookError, match="a phone has no Python"):
        open_device("galaxys8", RuntimeRequest(runner="python"))
