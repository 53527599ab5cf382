"""What the doctor finds on devices that are fit, and on those that are not."""

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from contract.errors import DeviceFailed, PhonebookError
from contract.runtime import RuntimeRequest
from device_agent.device import Device, Finding, ProgramFile
from device_agent.devices.android.adb.errors import StorageFull
from device_agent.devices.host.computer import Host
from device_agent.devices.ios.errors import Away
from device_agent.doctor import SMALL, diagnose, examine, mishap, run
from device_agent.programs.program import Program
from tests.adbd import Adbd
from tests.device_agent.conftest import Programs
from tests.device_agent.phones import PROPERTIES, FakeS8, Opens
from tests.fakes import FakeDevice, fake_export

KEY = SMALL.key


def findings(device: Device) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(device, exporter=fake_export)}


def states(found: dict[str, Finding]) -> dict[str, str]:
    return {what: finding.state for what, finding in found.items()}


def test_a_device_without_checks_of_its_own_is_run_and_timed(home: None) -> None:
    found = findings(FakeDevice({KEY: 500.0}))
    assert states(found) == {
        "description": "look",  # this one is emulated
        "state": "ok",
        "a small program": "ok",
        "timing": "ok",
        "throttling": "look",
    }
    assert found["a small program"].found == "right, in 500 us (emulated)"


def test_a_program_that_does_not_run_is_told_with_its_reason(home: None) -> None:
    found = findings(FakeDevice({}))
    assert found["a small program"].state == "bad"
    assert found["a small program"].found.startswith("load_failed: cannot load")
    assert "timing" not in found


def test_timing_that_is_not_steady_is_worth_a_look(home: None) -> None:
    us = {KEY: 500.0}

    def slow_down(key: str) -> None:
        us[key] *= 1.02

    found = findings(FakeDevice(us, on_visit=slow_down))
    assert found["timing"].state == "look"
    assert "8 visits within" in found["timing"].found


def test_a_phone_that_is_fit(phone: Opens) -> None:
    with phone() as device:
        found = findings(device)
    assert set(states(found).values()) == {"ok"}
    assert found["description"].found.startswith("SM-G950F, exynos8895, 8 cores, Android 9")
    assert found["clusters"].found == "4 up to 2314 MHz, 4 up to 1690 MHz"
    assert found["loader"].found == "the runner starts, on cpu4.5.6.7"
    assert found["throttling"].found == "clock limit 2314 MHz before, 2314 MHz after: none seen"


def test_a_phone_that_does_not_start_the_runner(phone: Opens, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "ld-linux-aarch64.so.1").write_text("#!/bin/sh\nexit 126\n")
    with phone() as device:
        found = findings(device)
    assert list(found)[-1] == "loader"
    assert found["loader"].state == "bad"
    assert "exit code 126" in found["loader"].found
    assert "Android NDK" in found["loader"].advice


def test_a_phone_that_slows_down_for_heat(phone: Opens, s8: FakeS8) -> None:
    with phone() as device:
        found = []
        for finding in examine(device, exporter=fake_export):
            found.append(finding)
            if finding.what == "timing":
                s8.hold_clock_down(1_700_000)
    assert found[-1].what == "throttling"
    assert (found[-1].state, found[-1].found) == (
        "look",
        "clock limit 2314 MHz before, 1700 MHz after",
    )


def test_a_phone_that_is_not_there_is_the_cables_matter(home: None) -> None:
    (found,) = diagnose("galaxys8", RuntimeRequest())
    assert (found.what, found.state) == ("cable", "bad")
    assert "--serial HOST:PORT" in found.advice
    with pytest.raises(DeviceFailed, match="galaxys8: not fit yet: cable; what to do stands"):
        run(device="galaxys8")


def away(s8: FakeS8) -> None:
    s8.adb.faults.refuse_connections = True


def encrypted(s8: FakeS8) -> None:
    s8.adb.faults.wants_tls = True


def without_a_shell(s8: FakeS8) -> None:
    s8.adb.faults.has_no_shell = True


def another_model(s8: FakeS8) -> None:
    s8.properties(PROPERTIES | {"ro.product.model": "Pixel 8"})


@pytest.mark.parametrize(
    ("fault", "found", "advice"),
    [
        (away, "network: no answer", "Is USB debugging on"),
        (encrypted, "network: wireless debugging of Android 11", "adb tcpip 5555"),
        (without_a_shell, "shell: does not start", "not executable"),
        (another_model, "phone: another one than named", "--device pixel-8"),
    ],
)
def test_what_bars_a_phone_is_told_as_it_is(
    adbd: Adbd, s8: FakeS8, fault: Callable[[FakeS8], None], found: str, advice: str
) -> None:
    fault(s8)
    began = time.monotonic()
    (finding,) = diagnose("galaxys8", RuntimeRequest())
    assert (f"{finding.what}: {finding.found}", finding.state) == (found, "bad")
    assert advice in finding.advice
    assert time.monotonic() - began < 20


def test_a_phone_with_little_room_says_how_much_is_left_to_it(phone: Opens, s8: FakeS8) -> None:
    s8.write("free_kib", str(70 << 10))
    big = ProgramFile(s8.adb.root / "big.pte")
    big.path.write_bytes(bytes(8 << 20))
    with (
        phone() as device,
        pytest.raises(StorageFull, match="of which the phone keeps 67 MB") as full,
    ):
        device.store([big])
    assert mishap(full.value) == ("storage", "full")


def test_every_failure_of_a_device_has_words_of_its_own() -> None:
    general = mishap(PhonebookError("anything"))
    kinds = [DeviceFailed]
    for kind in kinds:
        kinds += kind.__subclasses__()
    ours = [kind for kind in kinds[1:] if kind.__module__.startswith("device_agent.")]
    assert len(ours) > 20
    nameless = {kind for kind in ours if mishap(kind("")) == general}
    assert nameless <= {Away}  # which is only caught


def test_without_a_device_the_phones_are_listed(
    adbd: Adbd, capfd: pytest.CaptureFixture[str]
) -> None:
    run()
    assert "galaxys8" in capfd.readouterr().err


def copied(source: ProgramFile, program: Program, file: ProgramFile) -> None:
    """An exporter, of a program that was exported before."""
    shutil.copyfile(source.path, file.path)
    shutil.copyfile(source.expected_output, file.expected_output)
    shutil.copyfile(source.delegation, file.delegation)


@pytest.mark.slow
def test_this_computer_can_be_examined(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Host(RuntimeRequest(protocol="isolated")) as host:
        monkeypatch.setenv("PHONEBOOK_HOME", str(tmp_path))  # programs alone; the runner is built
        found = {
            finding.what: finding
            for finding in examine(host, exporter=partial(copied, programs.operator))
        }
    assert found["description"].state == found["a small program"].state == "ok"
    assert "8 visits within" in found["timing"].found
