"""Whose a phone is: one agent's at a time, by its own serial number, whatever way leads to it."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from contract.client import table_client
from contract.errors import DeviceFailed
from contract.places import HOME_VARIABLE
from contract.spaces import space
from device_agent.device_lock import DeviceInUse, agent_name
from device_agent.devices.android.adb.attached import connect
from device_agent.devices.android.adb.errors import AnotherPhone, Claimed, PhoneLost, StorageFull
from device_agent.devices.android.claim import Claim
from device_agent.devices.android.phone import AndroidPhone
from device_agent.devices.registry import find_serials
from device_agent.measuring.journal import TABLE, Journal
from device_agent.measuring.station import Station
from device_agent.programs.cache import ProgramCache
from tests.adbd import Adbd, FakePhone
from tests.device_agent.phones import (
    PLAN,
    PROPERTIES,
    FakeS8,
    Opens,
    once_at_work,
    program,
    runners,
)
from tests.fakes import FakeDevice, fake_export, fake_session

SERIAL = "ce0517155"
CLAIM = "data/local/tmp/phonebook/claim"


@pytest.fixture
def on_another_computer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], None]], None]:
    """Does it as an agent with another state folder does it."""

    def act(do: Callable[[], None]) -> None:
        with monkeypatch.context() as patch:
            patch.setenv(HOME_VARIABLE, str(tmp_path / "another"))
            do()

    return act


OnAnother = Callable[[Callable[[], None]], None]


@pytest.fixture
def named(s8: FakeS8) -> FakeS8:
    """The phone, which tells its own serial number."""
    s8.properties(PROPERTIES | {"ro.serialno": SERIAL})
    return s8


def test_another_computers_agent_is_refused_and_ends_nothing(
    phone: Opens, s8: FakeS8, tmp_path: Path, on_another_computer: OnAnother
) -> None:
    good = program(tmp_path, "good")

    def come_second() -> None:
        with pytest.raises(Claimed, match=f"the agent {first} has the phone"), phone():
            pass

    first = agent_name()
    with phone() as device:
        device.time_program(good, PLAN)
        (runner,) = runners(s8)
        on_another_computer(come_second)
        assert runners(s8) == [runner]
        device.time_program(good, PLAN)
    assert not s8.has(CLAIM)


def test_a_phone_is_free_once_its_agent_has_ended(
    phone: Opens, on_another_computer: OnAnother
) -> None:
    def come_second() -> None:
        with phone():
            pass

    with phone():
        pass
    on_another_computer(come_second)


def test_what_a_killed_agent_claimed_and_ran_is_nobodys(
    phone: Opens,
    opened_phone: Callable[[], AndroidPhone],
    adbd: Adbd,
    s8: FakeS8,
    tmp_path: Path,
    on_another_computer: OnAnother,
) -> None:
    killed = opened_phone()
    killed.__enter__()
    once_at_work(s8, adbd.hang_up)
    with suppress(DeviceFailed):
        killed._visit(program(tmp_path, "silent"), PLAN)
    killed._connection.close()
    assert len(runners(s8)) == 1
    assert s8.has(CLAIM)

    def come_second() -> None:
        with phone() as device:
            assert runners(s8) == []
            device.time_program(program(tmp_path, "good"), PLAN)

    on_another_computer(come_second)


def test_a_claim_ends_an_hour_after_the_last_word_and_its_agent_measures_no_more(
    phone: Opens,
    opened_phone: Callable[[], AndroidPhone],
    s8: FakeS8,
    tmp_path: Path,
    on_another_computer: OnAnother,
) -> None:
    good = program(tmp_path, "good")
    silent = opened_phone()
    silent.__enter__()
    s8.write(f"{CLAIM}-last-word", "0")  # its computer left the network; the connection stays

    def come_second() -> None:
        with phone() as device:
            device.time_program(good, PLAN)
            (runner,) = runners(s8)
            with pytest.raises(Claimed, match="another agent took the phone meanwhile"):
                silent.time_program(good, PLAN)
            silent.__exit__(None)
            assert runners(s8) == [runner]
            assert s8.read("setting") == "7\n"

    on_another_computer(come_second)


def test_one_phone_at_two_addresses_is_one_unit(phone: Opens, named: FakeS8, adbd: Adbd) -> None:
    assert find_serials("galaxys8") == (SERIAL,)
    with Adbd(named.adb) as by_another_way, phone() as device:
        assert device.serial == SERIAL
        with pytest.raises(DeviceInUse, match=f"^{SERIAL}: another agent is measuring there"):
            phone(serial=by_another_way.serial)
    with Adbd(named.adb) as again, phone(serial=again.serial) as device:
        assert (device.serial, device.address) == (SERIAL, again.serial)
        assert device.describe().model == "SM-G950F"


def test_a_unit_is_opened_by_its_own_serial_number(phone: Opens, named: FakeS8) -> None:
    (unit,) = find_serials("galaxys8")
    with phone(serial=unit) as device:
        assert device.serial == SERIAL


def test_another_phone_at_the_address_is_not_taken_for_the_unit(
    phone: Opens, named: FakeS8
) -> None:
    with phone():
        pass
    named.properties(PROPERTIES | {"ro.serialno": "another"})
    with pytest.raises(AnotherPhone, match=f"is the phone another now, and no more {SERIAL}"):
        phone(serial=SERIAL)


def test_another_phone_at_the_address_has_not_returned(
    phone: Opens, named: FakeS8, adbd: Adbd, tmp_path: Path
) -> None:
    with phone(return_limit_s=0.5) as device:
        named.properties(PROPERTIES | {"ro.serialno": "another"})
        adbd.hang_up()
        with pytest.raises(PhoneLost, match=f"{SERIAL} is gone for 0 s"):
            device.time_program(program(tmp_path, "good"), PLAN)


@pytest.mark.parametrize("serial", ["", "unknown", "0123456789ABCDEF", "EMULATOR35X1X17X0", "a b"])
def test_a_number_that_many_phones_share_is_none(
    phone: Opens, s8: FakeS8, adbd: Adbd, serial: str
) -> None:
    s8.properties(PROPERTIES | {"ro.serialno": serial})
    with phone() as device:
        assert device.serial == adbd.serial


def test_a_phone_of_before_android_7_is_claimed_too(
    tmp_path: Path, home: None, on_another_computer: OnAnother
) -> None:
    old = FakePhone(tmp_path / "old", features="cmd", version=0x01000000, most=4096)

    def come_second() -> None:
        with closing(connect(daemon.serial, say=print)) as also, pytest.raises(Claimed):
            Claim(also)

    with Adbd(old) as daemon:
        with closing(connect(daemon.serial, say=print)) as connection:
            claim = Claim(connection)
            on_another_computer(come_second)
            claim.renew(connection)
        with closing(connect(daemon.serial, say=print)) as later:
            assert Claim(later).holder != claim.holder


@pytest.mark.parametrize("unit", [SERIAL, "192.168.0.7:5555"])
def test_a_session_is_found_again_by_the_phones_own_serial_number_or_its_address_of_before(
    tmp_path: Path, unit: str
) -> None:
    device = FakeDevice({})
    device.serial, device.address = SERIAL, "192.168.0.7:5555"  # type: ignore[attr-defined]
    chosen = space("fbnet-32")
    with (
        table_client("http://127.0.0.1:9") as client,
        Journal(tmp_path / "journal.db") as journal,
    ):
        station = Station(
            device=device,
            name="bench",
            client=client,
            journal=journal,
            cache=ProgramCache(tmp_path),
            exporter=fake_export,
        )
        session = fake_session().evolve(unit=unit, device="bench", space=chosen.name)
        journal.begin(client.server, session, chosen.operators[:1])
        opened = station.unfinished(chosen, TABLE)
        assert opened is not None
        assert opened.session.id == session.id
        device.serial, device.address = "another", "192.168.0.8:5555"  # type: ignore[attr-defined]
        assert station.unfinished(chosen, TABLE) is None


@pytest.fixture
def full_storage(s8: FakeS8) -> Iterator[None]:
    """Nothing more can be written on the phone."""
    folder = s8.adb.root / "data/local/tmp/phonebook"
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "full", folder], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a file system that is full")
    (folder / "claim-holder").mkdir()
    with suppress(OSError):
        (folder / "filled").write_bytes(bytes(1 << 20))
    yield
    subprocess.run(["umount", folder], check=True)


def test_a_phone_that_cannot_keep_a_claim_is_full_and_nobodys(
    phone: Opens, full_storage: None, adbd: Adbd
) -> None:
    for _ in range(2):
        with pytest.raises(StorageFull, match="claim cannot be written"), phone():
            pass


def test_a_claim_that_a_full_phone_kept_in_part_is_nobodys(phone: Opens, s8: FakeS8) -> None:
    s8.adb.local(f"/{CLAIM}").parent.mkdir()
    s8.adb.local(f"/{CLAIM}").touch()
    with phone():
        assert s8.read(CLAIM) != ""
