"""One emulated phone for all tests here, the bundle in it, and real programs to run."""

import shutil
from dataclasses import dataclass

import pytest

from contract.networks import Network, network
from contract.operators import Operator
from contract.runtime import Dtype
from contract.spaces import space
from device_agent.device import ProgramFile
from device_agent.devices.android import bundle
from device_agent.devices.android.bundle import Bundle
from device_agent.places import cache_dir
from device_agent.programs.cache import ProgramCache, export_to_pte
from device_agent.programs.program import Program
from tests.android.emulated import (
    TEMPORARY,
    EmulatedPhone,
    PackagesMissing,
    check_packages,
    make_phone,
)
from tests.e2e.conftest import world as world  # the same server and commands as there

SPACE = space("fbnet-32-0.35")
# A shuffle, a sum, an expansion, and of the rest as little as there is.
BLOCKS = {0: "k5_e1_g2", 2: "k3_e3"}
NETWORK = network(
    [
        BLOCKS.get(number, "skip" if slot.keeps_shape else "k3_e1")
        for number, slot in enumerate(SPACE.slots)
    ],
    space=SPACE,
)
OPERATORS = (NETWORK.stem, NETWORK.operators[1], NETWORK.head)
DTYPES: tuple[Dtype, ...] = ("float32", "int8")


@dataclass(frozen=True)
class Programs:
    """Exported programs, each with the output that eager PyTorch gave."""

    operators: dict[Dtype, list[ProgramFile]]
    networks: dict[Dtype, ProgramFile]


@pytest.fixture(scope="session")
def packages() -> None:
    try:
        check_packages()
    except PackagesMissing as missing:
        pytest.exit(str(missing), returncode=1)


@pytest.fixture(scope="session")
def built(packages: None) -> Bundle:
    """The product's bundle, built now unless it was before."""
    return bundle.build(cache_dir())


@pytest.fixture(scope="session")
def phone(packages: None, tmp_path_factory: pytest.TempPathFactory) -> EmulatedPhone:
    return make_phone(tmp_path_factory.mktemp("phone") / "root")


@pytest.fixture(scope="session")
def pushed(phone: EmulatedPhone, built: Bundle) -> str:
    """The bundle's folder on the phone."""
    place = f"{TEMPORARY}/bundle"
    shutil.copytree(built.path, phone.here(place))
    return place


@pytest.fixture(scope="session")
def programs() -> Programs:
    cache = ProgramCache(cache_dir())

    def exported(content: Operator | Network, dtype: Dtype) -> Program:
        return Program(content=content, dtype=dtype, memory_format="contiguous")

    operators = {dtype: [exported(one, dtype) for one in OPERATORS] for dtype in DTYPES}
    networks = {dtype: exported(NETWORK, dtype) for dtype in DTYPES}
    wanted = [*networks.values(), *operators["float32"], *operators["int8"]]
    assert [done.error for done in cache.export(wanted, export_to_pte) if done.error] == []
    return Programs(
        operators={dtype: [cache.file(one) for one in operators[dtype]] for dtype in DTYPES},
        networks={dtype: cache.file(networks[dtype]) for dtype in DTYPES},
    )
