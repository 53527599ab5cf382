"""Real programs, exported once: operators, a small whole network, and two odd ones."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import uuid4

import pytest

from contract.blocks import Head, MBConv, Stem
from contract.networks import network
from contract.operators import Operator
from contract.runtime import Dtype, MemoryFormat, RuntimeRequest
from contract.slots import Slot
from contract.spaces import SearchSpace, SpaceStem, Stage
from device_agent.device import DeviceKind, ProgramFile
from device_agent.devices.android.kind import ANDROID
from device_agent.devices.android.phone import AndroidPhone
from device_agent.devices.ios.care import Limits
from device_agent.devices.ios.kind import IOS
from device_agent.devices.ios.messages import PORT
from device_agent.devices.ios.phone import IPhone
from device_agent.devices.registry import open_unit
from device_agent.measuring.journal import Journal
from device_agent.programs.cache import ProgramCache, export_to_pte
from device_agent.programs.program import Program
from tests.adbd import Adbd
from tests.conftest import one_at_a_time
from tests.device_agent.fake_app import FakeApp
from tests.device_agent.phones import QUICK, FakeS8, Opens, fake_bundle
from tests.usbmux import Cabled, FakeUsbmuxd

Phone = TypeVar("Phone", AndroidPhone, IPhone)

OPERATORS = (
    Operator(block=Stem(), slot=Slot(in_channels=3, out_channels=8, input_size=16, stride=2)),
    Operator(
        block=MBConv(kernel_size=5, expansion=3, groups=2),
        slot=Slot(in_channels=8, out_channels=8, input_size=8, stride=1),
    ),
    Operator(
        block=Head(channels=32), slot=Slot(in_channels=8, out_channels=10, input_size=8, stride=8)
    ),
)
MEMORY_FORMATS: dict[MemoryFormat, tuple[Operator, ...]] = {
    "contiguous": OPERATORS,
    "channels_last": OPERATORS[:2],
}
SPACE = SearchSpace(
    name="few-layers",
    resolution=32,
    classes=100,
    stem_block=SpaceStem(block=Stem(), channels=8, stride=1),
    candidates=(
        MBConv(kernel_size=5, expansion=1, groups=2),
        MBConv(kernel_size=3, expansion=1),
    ),
    stages=(
        Stage(channels=8, depth=1),
        Stage(channels=32, depth=(1, 2), stride=2),
        Stage(channels=128, depth=1, stride=4),
    ),
    head_blocks=(Head(channels=1416),),
)
# A shuffle, a sum and a skip; each further layer takes seconds to export. Its weights, most of
# them the head's, take more memory than all else that it needs.
NETWORK = network(["k5_e1_g2", "k3_e1", "skip", "k3_e1"], space=SPACE)
DTYPES: tuple[Dtype, ...] = ("float32", "int8")


@dataclass(frozen=True)
class Programs:
    """Exported programs, each with the output that eager PyTorch gave."""

    operators: dict[MemoryFormat, list[ProgramFile]]
    networks: dict[Dtype, ProgramFile]
    overwriting: ProgramFile  # runs wrongly where its input is not set anew
    two_inputs: ProgramFile

    @property
    def operator(self) -> ProgramFile:
        return self.operators["contiguous"][1]

    @property
    def network(self) -> ProgramFile:
        return self.networks["float32"]


@pytest.fixture(scope="session")
def programs(common_folder: Path) -> Programs:
    networks = {
        dtype: Program(content=NETWORK, dtype=dtype, memory_format="contiguous")
        for dtype in DTYPES
    }
    operators: dict[MemoryFormat, list[Program]] = {
        memory_format: [
            Program(content=operator, dtype="float32", memory_format=memory_format)
            for operator in some
        ]
        for memory_format, some in MEMORY_FORMATS.items()
    }
    cache = exported(common_folder, [*networks.values(), *chain(*operators.values())])
    folder = cache.file(networks["float32"]).path.parent
    return Programs(
        operators={key: [cache.file(program) for program in operators[key]] for key in operators},
        networks={key: cache.file(program) for key, program in networks.items()},
        overwriting=ProgramFile(folder / "overwriting.pte"),
        two_inputs=ProgramFile(folder / "two_inputs.pte"),
    )


@pytest.fixture(scope="session")
def quantised(common_folder: Path) -> dict[MemoryFormat, ProgramFile]:
    """An operator in int8."""
    wanted = {
        memory_format: Program(content=OPERATORS[1], dtype="int8", memory_format=memory_format)
        for memory_format in MEMORY_FORMATS
    }
    cache = exported(common_folder, list(wanted.values()))
    return {key: cache.file(program) for key, program in wanted.items()}


def exported(common_folder: Path, wanted: Sequence[Program]) -> ProgramCache:
    """A cache with these programs, exported now unless another process of this run did.

    In one process: that imports torch once, and the tests that run beside need the other CPUs.
    """
    folder = common_folder / "programs-of-tests"
    folder.mkdir(exist_ok=True)
    cache = ProgramCache(folder, workers=1)
    with one_at_a_time(folder):
        failed = [done.error for done in cache.export(wanted, export_with_oddities) if done.error]
    assert failed == []
    return cache


def export_with_oddities(program: Program, file: ProgramFile) -> None:
    """As the product does, and beside the network the odd programs; runs in worker processes."""
    export_to_pte(program, file)
    if program.content == NETWORK and program.dtype == "float32":
        from tests.device_agent.oddities import export_oddities

        export_oddities(file.path.parent)


@pytest.fixture(autouse=True)
def _ctrl_c_ends_a_test() -> Iterator[None]:
    """As at a terminal: a script that starts the tests in the background has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Journal]:
    """A journal of nothing."""
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a server's SQLite file may be."""
    return tmp_path / "server.db"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person of their own, who has no phone and never used adb."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PHONEBOOK_HOME", str(tmp_path / "phonebook"))
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)


@pytest.fixture
def s8(tmp_path: Path) -> FakeS8:
    return FakeS8(tmp_path / "phone")


@pytest.fixture
def adbd(home: None, s8: FakeS8, monkeypatch: pytest.MonkeyPatch) -> Iterator[Adbd]:
    with Adbd(s8.adb) as daemon:
        monkeypatch.setenv("ANDROID_SERIAL", daemon.serial)
        yield daemon


@pytest.fixture
def opened_phone(adbd: Adbd, tmp_path: Path) -> Callable[[], AndroidPhone]:
    """A phone that nobody has locked, and that a test may leave as a killed agent does."""
    bundle = fake_bundle(tmp_path / "unlocked")
    request = RuntimeRequest(protocol="isolated")
    return lambda: AndroidPhone("galaxys8", adbd.serial, request, bundle=bundle, limits=QUICK)


@pytest.fixture
def phone(adbd: Adbd, tmp_path: Path) -> Opens:
    """Opens the phone; a test enters it."""
    usual = {"bundle": fake_bundle(tmp_path / "bundle"), "limits": QUICK, "return_limit_s": 10.0}
    return opener(ANDROID, "galaxys8", AndroidPhone, usual)


def opener(
    kind: DeviceKind, usual_name: str, make: Callable[..., Phone], usual: dict[str, Any]
) -> Callable[..., AbstractContextManager[Phone]]:
    """Opens a device of that kind as the product does, with limits that suit a test.

    What is named like a part of a request goes there, the rest to `make`.
    """
    asked = {each.name for each in fields(RuntimeRequest)}

    def opens(
        name: str = usual_name, *, serial: str | None = None, **changes: Any
    ) -> AbstractContextManager[Phone]:
        parts = {key: changes.pop(key) for key in asked & changes.keys()}
        request = RuntimeRequest(**{"protocol": "isolated", **parts})
        quick = replace(kind, open=partial(make, **{**usual, **changes}))
        return cast(AbstractContextManager[Phone], open_unit(quick, name, request, serial=serial))

    return opens


OpensIPhone = Callable[..., AbstractContextManager[IPhone]]


@pytest.fixture
def app() -> Iterator[FakeApp]:
    with FakeApp() as opened:
        yield opened


@pytest.fixture
def cabled(app: FakeApp) -> Cabled:
    """An iPhone of its own for each test, as its app is asked what it is once."""
    return Cabled(f"{uuid4().hex}00000000", {PORT: app.port})


@pytest.fixture
def usbmuxd(home: None, cabled: Cabled, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUsbmuxd]:
    with FakeUsbmuxd(cabled) as daemon:
        monkeypatch.setenv("USBMUXD_SOCKET_ADDRESS", daemon.address)
        yield daemon


@pytest.fixture
def iphone(usbmuxd: FakeUsbmuxd) -> OpensIPhone:
    """Opens the iPhone; a test enters it."""

    limits = Limits(look_every_s=0, pause_s=0.05, patience_s=0.3)
    return opener(IOS, "iphonex", IPhone, {"limits": limits, "return_limit_s": 5.0})


ControlGroup = Callable[[float], list[str]]


@pytest.fixture
def control_group() -> Iterator[ControlGroup]:
    """Makes a control group that grants the time of so many CPUs, and gives what starts a command
    in it."""
    top = Path("/sys/fs/cgroup")
    is_new = (top / "cgroup.controllers").exists()
    folder = (top if is_new else top / "cpu") / f"phonebook-test-{os.getpid()}"

    def make(cpus: float) -> list[str]:
        quota_us = f"{cpus * 100_000:.0f}"
        try:
            folder.mkdir()
            if is_new:
                (folder / "cpu.max").write_text(f"{quota_us} 100000")
            else:
                (folder / "cpu.cfs_quota_us").write_text(quota_us)
        except OSError as error:
            pytest.skip(f"this computer lets nobody make a control group: {error}")
        return ["sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$@"', "sh"]

    yield make
    if folder.exists():
        folder.rmdir()
