"""Which kind a name belongs to, and that one registry decides it."""

import re
from pathlib import Path

import pytest

from contract.errors import DeviceFailed, PhonebookError
from contract.runtime import RuntimeRequest
from device_agent.device_lock import lock_device
from device_agent.devices.android.kind import ANDROID
from device_agent.devices.host.kind import HOST
from device_agent.devices.ios.kind import IOS
from device_agent.devices.registry import KINDS, kind_of, open_device


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("host", HOST),
        ("iphonex", IOS),
        ("ipad7-5", IOS),
        ("galaxys8", ANDROID),
        ("pixel-8", ANDROID),
    ],
)
def test_a_name_belongs_to_one_kind(name: str, kind: object) -> None:
    assert kind_of(name) is kind


@pytest.mark.parametrize("name", ["hots", "Host", "", "a phone", "iPhone X", "../host"])
def test_a_slip_or_what_is_no_name_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(PhonebookError, match=f"no device {re.escape(repr(name))}; "):
        kind_of(name)


def test_every_kind_has_an_example_of_its_own() -> None:
    assert [kind_of(kind.example) for kind in KINDS] == list(KINDS)


def test_this_computer_is_locked_as_any_device_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RuntimeRequest(runner="python", protocol="isolated")
    monkeypatch.setenv("PHONEBOOK_HOME", str(tmp_path))
    with open_device("host", request), pytest.raises(DeviceFailed, match="another agent"):
        open_device("host", request)
    with lock_device(HOST.lock_name("any")), pytest.raises(DeviceFailed, match="another agent"):
        open_device("host", request)
    with open_device("host", request) as device:
        assert device.runtime.runner == "python"


def test_a_device_that_does_not_open_is_not_left_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHONEBOOK_HOME", str(tmp_path))
    with pytest.raises(PhonebookError, match="only the native runner can be bound"):
        open_device("host", RuntimeRequest(runner="python", cpus=(0,)))
    with lock_device("host"):
        pass
