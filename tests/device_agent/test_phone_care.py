"""Care for a phone: left as it was found, and waited for no longer than need be."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.errors import PhonebookError
from device_agent.devices.android.care import Asleep, Limits, TooHot
from device_agent.devices.android.phone import AndroidPhone
from device_agent.runner.conversation import Elsewhere
from tests.adbd import Adbd
from tests.device_agent.phones import BIG_KHZ, PLAN, FakeS8, Opens, program

STEADY = Limits(look_every_s=0, pause_s=0.05, patience_s=30.0, steady_s=0.4)


@pytest.fixture
def asleep(s8: FakeS8) -> FakeS8:
    """A phone whose screen is off, and stays on no cable."""
    s8.write("setting", "0")
    s8.write("power", "mWakefulness=Asleep")
    return s8


def is_as_found(s8: FakeS8) -> bool:
    return s8.read("setting") == "0\n" and "Asleep" in s8.read("power")


def test_the_phone_stays_awake_and_is_left_as_it_was_found(phone: Opens, s8: FakeS8) -> None:
    s8.write("setting", "2")
    s8.write("power", "mWakefulness=Asleep")
    with phone() as device:
        assert s8.read("setting") == "7\n"
        assert device.conditions().is_awake
    assert s8.read("setting") == "2\n"
    assert "Asleep" in s8.read("power")


def test_a_setting_that_was_never_set_is_unset_again(phone: Opens, s8: FakeS8) -> None:
    with phone():
        assert s8.has("setting")
    assert not s8.has("setting")


def test_a_killed_agents_setting_is_mended_by_the_next(
    phone: Opens, opened_phone: Callable[[], AndroidPhone], s8: FakeS8
) -> None:
    s8.write("setting", "2")
    killed = opened_phone()
    killed.__enter__()
    killed._connection.close()
    assert s8.read("setting") == "7\n"
    with phone():
        pass
    assert s8.read("setting") == "2\n"


def test_a_phone_that_does_not_wake_is_refused(phone: Opens, s8: FakeS8) -> None:
    s8.write("power", "mWakefulness=Asleep")
    s8.write("stubborn", "")
    with pytest.raises(Asleep, match="press its power button"), phone():
        pass


def test_a_phone_that_falls_asleep_is_no_programs_failure(
    phone: Opens, s8: FakeS8, tmp_path: Path
) -> None:
    with phone(silence_limit_s=1.0, limits=Limits(look_every_s=60)) as device:
        device.time_program(program(tmp_path, "good"), PLAN)
        s8.write("power", "mWakefulness=Asleep")
        with pytest.raises(Asleep, match="fell asleep"):
            device.time_program(program(tmp_path, "silent"), PLAN)


def test_a_warm_phone_is_waited_for(
    phone: Opens, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with phone(limits=Limits(look_every_s=0, pause_s=0.1)) as device:
        s8.battery(c=40)
        threading.Timer(0.6, s8.battery, kwargs={"c": 35}).start()
        began = time.monotonic()
        device.time_program(program(tmp_path, "good"), PLAN)
        assert time.monotonic() - began > 0.5
    assert "its battery has 40 °C; waiting until it is cool" in capfd.readouterr().err


def test_a_phone_that_does_not_cool_or_is_too_hot_ends_the_session(
    phone: Opens, s8: FakeS8, tmp_path: Path
) -> None:
    with phone() as device:
        s8.battery(c=40)
        with pytest.raises(TooHot, match="let it cool"):
            device.time_program(program(tmp_path, "good"), PLAN)
        s8.battery(c=46)
        with pytest.raises(TooHot, match=r"more than the 45 it may have"):
            device.time_program(program(tmp_path, "good"), PLAN)


def test_a_clock_that_is_held_down_is_waited_for(phone: Opens, s8: FakeS8, tmp_path: Path) -> None:
    with phone() as device:
        s8.hold_clock_down(1_700_000)
        with pytest.raises(TooHot, match="held down to 1700 MHz"):
            device.time_program(program(tmp_path, "good"), PLAN)


def test_a_cool_phone_that_always_holds_it_down_is_measured_and_says_so(
    phone: Opens, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    s8.hold_clock_down(1_700_000)
    with phone() as device:
        device.time_program(program(tmp_path, "good"), PLAN)
        assert device.conditions().clock_limit_mhz == 1700
    assert "down to 1700 MHz of 2314 though it is cool" in capfd.readouterr().err


def test_a_phone_that_went_away_meanwhile_is_left_asleep_as_it_was_found(
    phone: Opens, asleep: FakeS8, adbd: Adbd, tmp_path: Path
) -> None:
    with phone() as device:
        adbd.hang_up()
        device.time_program(program(tmp_path, "good"), PLAN)
        assert not is_as_found(asleep)
    assert is_as_found(asleep)


@pytest.mark.parametrize("state", ["Asleep", "Dozing", "Dreaming"])
def test_how_a_killed_agent_found_the_phone_is_known_to_the_next(
    phone: Opens, opened_phone: Callable[[], AndroidPhone], s8: FakeS8, state: str
) -> None:
    s8.write("setting", "0")
    s8.write("power", f"mWakefulness={state}")
    killed = opened_phone()
    killed.__enter__()
    killed._connection.close()
    assert "Awake" in s8.read("power")
    with phone():
        pass
    assert is_as_found(s8)


def test_a_phone_that_an_older_agent_woke_gets_its_setting_back(phone: Opens, s8: FakeS8) -> None:
    s8.write("setting", "7")
    s8.write("data/local/tmp/phonebook/stay-on-as-found", "2")
    with phone():
        pass
    assert s8.read("setting") == "2\n"
    assert "Awake" in s8.read("power")


def test_a_phone_that_does_not_wake_is_left_as_it_was_found(phone: Opens, asleep: FakeS8) -> None:
    asleep.write("stubborn", "")
    with pytest.raises(Asleep), phone():
        pass
    assert is_as_found(asleep)


def test_a_clock_that_is_always_held_down_is_accepted_where_no_battery_tells_its_heat(
    phone: Opens, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    s8.write("battery", "  level: 80\n  scale: 100")
    s8.hold_clock_down(1_700_000)
    with phone(limits=STEADY) as device:
        device.time_program(program(tmp_path, "good"), PLAN)
        assert device.conditions().clock_limit_mhz == 1700
    said = " ".join(capfd.readouterr().err.split())
    assert "down to 1700 MHz of 2314 without a change for" in said
    assert "The session states it" in said


def test_a_clock_that_is_still_held_down_once_the_phone_is_cool_is_accepted(
    phone: Opens, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    s8.battery(c=39)
    s8.hold_clock_down(1_700_000)
    with phone(limits=STEADY) as device:
        threading.Timer(0.5, s8.battery, kwargs={"c": 33}).start()
        device.time_program(program(tmp_path, "good"), PLAN)
    assert "its battery has 39 °C; waiting until it is cool" in capfd.readouterr().err


def test_a_clock_that_changes_is_not_the_phones_own(
    phone: Opens, s8: FakeS8, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    s8.battery(c=39)
    s8.hold_clock_down(1_700_000)
    with phone(limits=STEADY) as device:
        threading.Timer(0.1, s8.hold_clock_down, [1_900_000]).start()
        threading.Timer(0.2, s8.hold_clock_down, [BIG_KHZ]).start()
        threading.Timer(0.5, s8.battery, kwargs={"c": 33}).start()
        device.time_program(program(tmp_path, "good"), PLAN)
        assert device.conditions().clock_limit_mhz == BIG_KHZ / 1000
    assert "without a change" not in capfd.readouterr().err


def test_a_clock_is_not_accepted_lower_in_the_middle_of_a_session(
    phone: Opens, s8: FakeS8, tmp_path: Path
) -> None:
    limits = Limits(look_every_s=0, pause_s=0.05, patience_s=1.0, steady_s=0.1)
    with phone(limits=limits) as device:
        device.time_program(program(tmp_path, "good"), PLAN)
        s8.hold_clock_down(1_700_000)
        with pytest.raises(TooHot, match="held down to 1700 MHz"):
            device.time_program(program(tmp_path, "good"), PLAN)


def test_a_visit_on_other_cores_than_promised_is_made_again(
    phone: Opens, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with phone() as device:
        timing = device.time_program(program(tmp_path, "moved once"), PLAN)
    assert len(timing.samples_ns) == 10
    assert "moved to other CPUs; its visit is made again" in " ".join(
        capfd.readouterr().err.split()
    )


def test_a_phone_that_moves_the_runner_for_good_is_no_programs_failure(
    phone: Opens, tmp_path: Path
) -> None:
    with (
        phone() as device,
        pytest.raises(Elsewhere, match="CPUs 0,1,2,3, and was to run on 4,5,6,7"),
    ):
        device.time_program(program(tmp_path, "moved"), PLAN)


def test_a_phone_that_moves_the_runner_since_it_sleeps_says_so(
    phone: Opens, s8: FakeS8, tmp_path: Path
) -> None:
    with phone(limits=Limits(look_every_s=60)) as device:
        device.time_program(program(tmp_path, "good"), PLAN)
        s8.write("power", "mWakefulness=Asleep")
        with pytest.raises(Asleep, match="fell asleep"):
            device.time_program(program(tmp_path, "moved"), PLAN)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"threads": 9}, "SM-G950F has 8 CPUs, and each thread needs one"),
        ({"threads": 2, "cpus": (7,)}, "--cpus names 1 CPU, and each thread needs one"),
    ],
)
def test_more_threads_than_cores_are_refused(
    phone: Opens, asked: dict[str, object], words: str
) -> None:
    with pytest.raises(PhonebookError, match=words):
        phone(**asked)
