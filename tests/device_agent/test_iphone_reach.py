"""Which iPhone is meant, and whether its app is one that this agent can work with."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

import device_agent
from contract.errors import DeviceFailed, PhonebookError
from contract.runtime import RuntimeRequest
from device_agent.device import Plan
from device_agent.devices.ios.app import App
from device_agent.devices.ios.errors import (
    AnsweredNonsense,
    AppNotRunning,
    AppUnfit,
    InUse,
    NotAttached,
    NoUsbmuxd,
    Stuck,
)
from device_agent.devices.ios.launch import BUNDLE
from device_agent.devices.ios.leftovers import ask_past_leftovers
from device_agent.devices.ios.messages import PORT
from device_agent.devices.ios.models import device_name
from device_agent.devices.registry import find_serials, open_device
from tests.device_agent.conftest import OpensIPhone
from tests.device_agent.fake_app import FakeApp
from tests.device_agent.phones import program
from tests.usbmux import Cabled, FakeUsbmuxd

PLAN = Plan(warmup_runs=1, min_runs=5, max_runs=10, min_duration_s=0.01, deadline_s=30.0)


def after(delay_s: float, act: Callable[[], object]) -> None:
    threading.Timer(delay_s, act).start()


def leave_a_job(app: FakeApp) -> str:
    """A job that ends only if it is stopped, as an agent that was killed leaves it."""
    app.programs["0" * 64] = b"hang"
    left = {"job": str(uuid4()), "sha256": "0" * 64, "min_runs": 1, "trace": False}
    assert app._post(left)[0] == 202
    return str(left["job"])


class TestWhichPhone:
    def test_another_phone_than_the_one_named_is_refused_with_its_name(
        self, iphone: OpensIPhone, app: FakeApp
    ) -> None:
        app.model = "iPhone11,8"
        with pytest.raises(NotAttached, match="an iPhone11,8, not an iphonex: --device iphonexr"):
            iphone()
        with iphone("iphonexr") as device:
            assert device.describe().model == "iPhone11,8"

    @pytest.mark.parametrize(
        ("model", "name"),
        [
            ("iPhone10,3", "iphonex"),
            ("iPhone10,6", "iphonex"),
            ("iPhone12,1", "iphone11"),
            ("iPhone17,1", "iphone16-pro"),
            ("iPhone17,5", "iphone16e"),
            ("iPhone18,3", "iphone17"),
            ("iPhone99,1", "iphone99-1"),
            ("iPad7,5", "ipad7-5"),
            ("x86_64", "iphone-x86_64"),
        ],
    )
    def test_models_have_names_and_unknown_ones_their_own(self, model: str, name: str) -> None:
        assert device_name(model) == name

    def test_of_several_the_one_of_that_name_or_serial_is_taken(
        self, iphone: OpensIPhone, usbmuxd: FakeUsbmuxd, cabled: Cabled
    ) -> None:
        with FakeApp(model="iPhone11,8") as other:
            second = Cabled(uuid4().hex, {PORT: other.port})
            third = Cabled(uuid4().hex)
            for phone in (second, third):
                usbmuxd.plug(phone)
            with iphone() as device:
                assert device.serial == cabled.udid
            with iphone("iphonexr", serial=second.udid) as device:
                assert device.serial == second.udid
            with pytest.raises(NotAttached, match=r"0 of the 3 iPhones .* or say which one"):
                iphone("iphone8")
            with pytest.raises(NotAttached, match="no iPhone nobodys; on the cable: "):
                iphone(serial="nobodys")
            assert find_serials("iphonex") == (cabled.udid,)
            assert find_serials("iphonexr") == (second.udid,)
            usbmuxd.unplug(cabled)
            assert find_serials("iphonex") == ()

    def test_none_on_the_cable_and_no_usbmuxd_are_two_things(
        self,
        iphone: OpensIPhone,
        usbmuxd: FakeUsbmuxd,
        cabled: Cabled,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        usbmuxd.unplug(cabled)
        with pytest.raises(NotAttached, match="iphonex: no iPhone on the cable"):
            iphone()
        monkeypatch.setenv("USBMUXD_SOCKET_ADDRESS", "/nowhere")
        with pytest.raises(NoUsbmuxd, match="apt-get install usbmuxd"):
            iphone()
        assert find_serials("iphonex") == ()

    def test_an_app_without_a_phone_is_marked_as_one(
        self, iphone: OpensIPhone, app: FakeApp, capfd: pytest.CaptureFixture[str]
    ) -> None:
        app.emulated = True
        with iphone() as device:
            assert device.origin == "emulated"
            assert device.describe().model == "iPhone10,3 (emulated)"
        assert "say nothing of a phone's speed" in " ".join(capfd.readouterr().err.split())


class TestTheApp:
    def test_one_of_another_protocol_is_refused(self, iphone: OpensIPhone, app: FakeApp) -> None:
        app.protocol = 2
        with pytest.raises(AppUnfit, match="speaks protocol 2, and this agent 1; build and"):
            iphone()

    def test_one_of_another_executorch_is_refused(self, iphone: OpensIPhone, app: FakeApp) -> None:
        app.executorch = "1.4.1"
        with pytest.raises(AppUnfit, match=r"the app runs ExecuTorch 1\.4\.1, and this agent"):
            iphone()

    def test_one_without_a_tracer_measures_isolated_alone(
        self, iphone: OpensIPhone, app: FakeApp
    ) -> None:
        app.tracer = False
        with pytest.raises(AppUnfit, match="measure with --protocol isolated"):
            iphone(protocol="in_situ")
        with iphone(protocol="isolated"):
            pass

    def test_something_else_on_its_port_is_told_apart(
        self, iphone: OpensIPhone, app: FakeApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(app, "_info", lambda: {"name": "another server"})
        with pytest.raises(AnsweredNonsense, match="answers /v1/info as no Phonebook app does"):
            iphone()

    def test_another_agents_app_is_left_alone(
        self, iphone: OpensIPhone, app: FakeApp, tmp_path: Path
    ) -> None:
        app.held_by = "lab-mac-0a1b2c"
        with pytest.raises(InUse, match=r"another agent .* lab-mac-0a1b2c"), iphone():
            pass
        app.held_by = None
        with iphone() as device:
            app.held_by = "lab-mac-0a1b2c"  # which had to wait for a minute without a word
            with pytest.raises(InUse, match=r"another agent .* lab-mac-0a1b2c"):
                device.store([program(tmp_path, "good")])
            with pytest.raises(InUse, match=r"another agent .* lab-mac-0a1b2c"):
                device.time_program(program(tmp_path, "good"), PLAN)
        assert (app.programs, app.posted) == ({}, [])

    def test_two_agents_here_do_not_share_a_phone(self, iphone: OpensIPhone) -> None:
        with iphone(), pytest.raises(DeviceFailed, match="another agent is measuring there"):
            iphone()

    def test_what_a_killed_agent_left_running_is_stopped(
        self, iphone: OpensIPhone, app: FakeApp, tmp_path: Path
    ) -> None:
        job = leave_a_job(app)
        with iphone() as device:
            device.time_program(program(tmp_path, "good"), PLAN)
        assert app.stopped == [job]

    def test_what_a_killed_agent_left_running_makes_room(
        self, iphone: OpensIPhone, app: FakeApp, tmp_path: Path
    ) -> None:
        job = leave_a_job(app)
        app.room = 10
        with iphone() as device:
            device.store([program(tmp_path, "good news")])
        assert app.stopped == [job]
        assert list(app.programs.values()) == [b"good news"]

    def test_a_job_that_does_not_stop_is_told_with_what_to_do(
        self, usbmuxd: FakeUsbmuxd, cabled: Cabled, app: FakeApp
    ) -> None:
        job = leave_a_job(app)
        app.stops = False
        with (
            closing(App(cabled.udid)) as client,
            pytest.raises(Stuck, match=f"{cabled.udid}: .* {job}; close it .* goes on"),
        ):
            ask_past_leftovers(client, client.delete_programs, stop_limit_s=0.2)
        assert list(app.programs.values()) == [b"hang"]

    def test_ctrl_c_leaves_nothing_running(
        self, iphone: OpensIPhone, app: FakeApp, tmp_path: Path
    ) -> None:
        app.on_post = [lambda: os.kill(os.getpid(), signal.SIGINT)]
        with pytest.raises(KeyboardInterrupt), iphone() as device:
            device.time_program(program(tmp_path, "hang"), PLAN)
        assert app.running is None

    def test_it_is_started_where_the_user_has_the_command(
        self, iphone: OpensIPhone, app: FakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app.end()
        with pytest.raises(AppNotRunning, match="With pymobiledevice3 installed"):
            iphone()
        folder, called = tmp_path / "bin", tmp_path / "called"
        folder.mkdir()
        command = folder / "pymobiledevice3"
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        command.write_text("#!/bin/sh\necho Developer Mode is off >&2\nexit 1\n")
        command.chmod(0o755)
        with pytest.raises(AppNotRunning, match="failed: Developer Mode is off"):
            iphone()
        command.write_text(f'#!/bin/sh\necho "$*" > {called}\n')
        monkeypatch.setenv("PHONEBOOK_IPHONE_APP", "com.example.bench")
        after(0.3, lambda: app.__enter__())
        with iphone() as device:
            device.time_program(program(tmp_path, "good"), PLAN)
            udid = device.serial
        assert called.read_text() == f"developer dvt launch --udid {udid} com.example.bench\n"

    @pytest.mark.parametrize(
        ("printed", "words"),
        [
            (
                "host \x1b[31mERROR\x1b[0m Developer Mode is off",
                r"launch .* failed: host ERROR Dev",
            ),
            ("Device is locked", r"launch .* said: Device is locked"),
            ("", r"launch .* said: nothing"),
        ],
    )
    def test_what_the_command_says_is_shown_where_it_ends_well_and_no_app_answers(
        self,
        iphone: OpensIPhone,
        app: FakeApp,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        printed: str,
        words: str,
    ) -> None:
        app.end()
        command = tmp_path / "bin" / "pymobiledevice3"
        command.parent.mkdir()
        command.write_text(f"#!/bin/sh\necho '{printed}' >&2\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
        with pytest.raises(AppNotRunning, match=words):
            iphone(start_limit_s=0.5)

    def test_it_is_started_by_the_identifier_that_it_is_built_with(self) -> None:
        project = Path(device_agent.__path__[0]) / "ios_app" / "App"
        settings = (project / "PhonebookBench.xcconfig").read_text()
        assert f"PRODUCT_BUNDLE_IDENTIFIER = {BUNDLE}\n" in settings


@pytest.mark.parametrize(
    ("option", "words"),
    [({"runner": "python"}, "has no python runner"), ({"cpus": (0,)}, "leave out --cpus")],
    ids=["runner", "cpus"],
)
def test_what_an_iphone_cannot_do_is_refused(option: dict[str, object], words: str) -> None:
    with pytest.raises(PhonebookError, match=words):
        open_device("iphonex", RuntimeRequest(**option))  # type: ignore[arg-type]  # either
