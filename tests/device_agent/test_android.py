"""An Android phone as a device, through a fake phone that is true to the protocol."""

import json
from pathlib import Path

import pytest

from contract.errors import DeviceFailed, PhonebookError
from contract.runtime import RuntimeRequest
from device_agent.device import ProgramFailed
from device_agent.devices.android.adb.errors import PhoneNotFound, StorageFull
from device_agent.devices.android.kind import list_attached
from device_agent.devices.registry import find_serials, open_device
from device_agent.measuring.checks import check_timing
from tests.adbd import Adbd
from tests.device_agent.phones import BIG_KHZ, PLAN, PROPERTIES, FakeS8, Opens, program, runners
from tests.fakes import RUNTIME


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
