"""What the doctor finds on iPhones that are fit, and on those that are not."""

from collections.abc import Callable

import pytest

from contract.errors import DeviceFailed
from contract.runtime import RuntimeRequest
from device_agent.device import Finding
from device_agent.doctor import diagnose, examine, run
from tests.device_agent.conftest import OpensIPhone
from tests.device_agent.fake_app import FakeApp
from tests.fakes import fake_export
from tests.usbmux import Cabled, FakeUsbmuxd


def test_one_that_is_fit_and_warms_up(iphone: OpensIPhone, app: FakeApp) -> None:
    found = {}
    with iphone() as device:
        for finding in examine(device, exporter=fake_export):
            found[finding.what] = finding
            if finding.what == "timing":
                app.thermal = "fair"
    throttling = found.pop("throttling")
    assert (throttling.state, throttling.found) == ("look", "heat nominal before, fair after")
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found["description"].found.startswith("iPhone10,3, A11 Bionic, 6 cores, iOS 16.7.10")
    assert found["trust"].found == "the phone and this computer are paired"
    assert found["app"].found == "version 0.1.0, protocol 1, ExecuTorch 1.5.1 as here"
    assert found["state"].found == "battery 93%, heat nominal"


def of_its_own(opens: OpensIPhone) -> dict[str, Finding]:
    """What an iPhone alone is asked."""
    with opens() as device:
        return {finding.what: finding for finding in device.examine()}


def test_one_whose_app_has_no_tracer_is_worth_a_look(iphone: OpensIPhone, app: FakeApp) -> None:
    app.tracer = False
    found = of_its_own(iphone)
    assert found["tracer"].state == "look"
    assert "--protocol isolated" in found["tracer"].advice


def test_one_that_is_not_trusted_for_sure(iphone: OpensIPhone, cabled: Cabled) -> None:
    cabled.is_paired = False
    assert of_its_own(iphone)["trust"].advice == "unlock the phone and tap Trust"


def test_one_that_is_warm_or_saves_power_is_not_measured(
    iphone: OpensIPhone, app: FakeApp
) -> None:
    app.thermal, app.low_power = "serious", True
    found = of_its_own(iphone)
    assert (found["power"].state, "Settings > Battery" in found["power"].advice) == ("bad", True)
    assert (found["heat"].state, found["heat"].found) == ("bad", "iOS calls it serious")
    with iphone() as device:
        assert [finding.what for finding in examine(device)][-1] == "heat"


@pytest.mark.parametrize(
    ("mishap", "what", "advice"),
    [
        (lambda app, usbmuxd, cabled: usbmuxd.unplug(cabled), "cable", "tap Trust"),
        (lambda app, usbmuxd, cabled: app.end(), "app", "tap its icon"),
        (
            lambda app, usbmuxd, cabled: setattr(app, "model", "iPhone17,1"),
            "phone",
            "iphone16-pro",
        ),
        (lambda app, usbmuxd, cabled: setattr(app, "protocol", 9), "app", "build and install"),
        (lambda app, usbmuxd, cabled: setattr(app, "executorch", "1.4.1"), "app", "that version"),
    ],
    ids=["unplugged", "closed", "another model", "another protocol", "another ExecuTorch"],
)
def test_the_first_mishap_is_told_with_what_to_do(
    app: FakeApp,
    usbmuxd: FakeUsbmuxd,
    cabled: Cabled,
    mishap: Callable[[FakeApp, FakeUsbmuxd, Cabled], None],
    what: str,
    advice: str,
) -> None:
    mishap(app, usbmuxd, cabled)
    (found,) = diagnose("iphonex", RuntimeRequest())
    assert (found.what, found.state) == (what, "bad")
    assert advice in found.advice


def test_a_computer_without_usbmuxd(home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USBMUXD_SOCKET_ADDRESS", "/nowhere")
    (found,) = diagnose("iphonex", RuntimeRequest())
    assert (found.what, found.state) == ("usbmuxd", "bad")
    with pytest.raises(DeviceFailed, match="iphonex: not fit yet: usbmuxd"):
        run(device="iphonex")


def test_without_a_device_iphones_are_listed_too(
    usbmuxd: FakeUsbmuxd, cabled: Cabled, capfd: pytest.CaptureFixture[str]
) -> None:
    usbmuxd.plug(Cabled("closed-app"))
    run()
    said = " ".join(capfd.readouterr().err.split())
    assert "iphonex" in said
    assert "? (open the Phonebook app)" in said
