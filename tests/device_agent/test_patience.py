"""What a session waits for, as a person sets it, and as the session states it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cyclopts import App, CycloptsError

from contract.client import table_client
from contract.errors import PhonebookError
from contract.runtime import RuntimeRequest
from contract.spaces import space
from device_agent import network, serve
from device_agent.devices.android.care import TooHot
from device_agent.devices.android.kind import ANDROID
from device_agent.devices.android.phone import AndroidPhone
from device_agent.devices.ios.kind import IOS
from device_agent.devices.ios.phone import IPhone
from device_agent.devices.registry import open_unit
from device_agent.measuring.journal import TABLE, Journal
from device_agent.measuring.station import Options, Station
from device_agent.patience import USUAL, PatienceOptions
from device_agent.programs.cache import ProgramCache
from tests.adbd import Adbd
from tests.device_agent import fake_app
from tests.device_agent.phones import PLAN, fake_bundle, program
from tests.fakes import FakeDevice, fake_export
from tests.usbmux import FakeUsbmuxd


def chosen(*words: str) -> PatienceOptions:
    app = App(result_action="return_value")

    @app.default
    def run(*, options: Options) -> PatienceOptions:
        return options.waiting

    found: PatienceOptions = app(["--device", "host", *words], exit_on_error=False)
    return found


def test_each_limit_is_an_option() -> None:
    assert chosen() == USUAL
    assert chosen("--patience", "0", "--cooling", "60", "--cool", "33", "--hot", "41.5") == (
        PatienceOptions(patience=0, cooling=60, cool=33, hot=41.5)
    )


@pytest.mark.parametrize("command", [serve, network])
def test_every_command_that_measures_takes_them(
    command: object, capsys: pytest.CaptureFixture[str]
) -> None:
    command.app(["--help"])  # type: ignore[attr-defined]  # both have one
    help_text = capsys.readouterr().out
    for option in ("--patience", "--cooling", "--cool ", "--hot"):
        assert option in help_text
    assert ("--serial" in help_text) == (command is network)


@pytest.mark.parametrize(
    "words", [("--cool", "45"), ("--hot", "30"), ("--cool", "50", "--hot", "49")]
)
def test_a_phone_is_warm_before_it_is_hot(words: tuple[str, ...]) -> None:
    with pytest.raises(PhonebookError, match="a phone is warm before it is hot"):
        chosen(*words)


@pytest.mark.parametrize("words", [("--hot", "90"), ("--cool", "-3"), ("--cooling", "-1")])
def test_what_nobody_means_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(CycloptsError):
        chosen(*words)


def test_an_android_phone_is_waited_for_as_told(adbd: Adbd, tmp_path: Path) -> None:
    kind = replace(ANDROID, open=partial(AndroidPhone, bundle=fake_bundle(tmp_path / "bundle")))
    request = RuntimeRequest(protocol="isolated")
    told = PatienceOptions(cool=30, cooling=0)
    with (
        open_unit(kind, "galaxys8", request, patience=told) as device,
        pytest.raises(TooHot, match="its battery has 31 °C, for 0 minutes"),
    ):
        device.time_program(program(tmp_path, "good"), PLAN)
    told = PatienceOptions(cool=20, hot=31)
    with (
        open_unit(kind, "galaxys8", request, patience=told) as device,
        pytest.raises(TooHot, match="more than the 31 it may have"),
    ):
        device.time_program(program(tmp_path, "good"), PLAN)


def test_an_iphone_is_waited_for_as_told(
    usbmuxd: FakeUsbmuxd, app: fake_app.FakeApp, tmp_path: Path
) -> None:
    kind = replace(IOS, open=IPhone)
    app.thermal = "serious"
    with (
        open_unit(
            kind,
            "iphonex",
            RuntimeRequest(protocol="isolated"),
            patience=PatienceOptions(cooling=0),
        ) as device,
        pytest.raises(PhonebookError, match="its heat is serious, for 0 minutes"),
    ):
        device.time_program(program(tmp_path, "good"), PLAN)


@pytest.mark.parametrize("told", [USUAL, PatienceOptions(cool=33)])
def test_a_session_states_what_it_was_told_where_that_is_not_the_usual(
    tmp_path: Path, told: PatienceOptions
) -> None:
    chosen_space = space("fbnet-32")
    with (
        table_client("http://127.0.0.1:9") as client,
        Journal(tmp_path / "journal.db") as journal,
    ):
        station = Station(
            device=FakeDevice({}),
            name="bench",
            client=client,
            journal=journal,
            cache=ProgramCache(tmp_path),
            exporter=fake_export,
            waiting=told,
        )
        session = station.begin(chosen_space, chosen_space.operators[:1], TABLE).session
    stated = session.conditions.patience
    assert ("patience" in session.model_dump_json()) == (told != USUAL)
    assert stated == told.stated()
    if stated is not None:
        assert (stated.cool_c, stated.cooling_s, stated.others_s) == (33, 900, 600)
