"""Fakes that behave, record, and refuse what they were not told."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self
from uuid import uuid4

import numpy as np

from contract.devices import Conditions, DeviceDescription
from contract.runtime import Runtime
from contract.sessions import Effort, Origin, Session
from device_agent.device import Plan, ProgramFailed, ProgramFile, ProgramTiming
from device_agent.programs.delegation import Delegation
from device_agent.programs.program import Program

OUTPUT = np.arange(8, dtype=np.float32)
PROBE_NS = 54_000
DELEGATION = Delegation(delegates=("XnnpackBackend",))

RUNTIME = Runtime(
    dtype="float32",
    threads=1,
    memory_format="contiguous",
    executorch="1.5.1",
    runner="python",
    affinity="any",
    protocol="isolated",
)
DESCRIPTION = DeviceDescription(
    model="Test bench", soc="Test core", cores=2, memory_bytes=2**30, os="Test OS 1"
)


def fake_session(*, effort: Effort = "standard") -> Session:
    """A session of the bench, begun now."""
    return Session(
        id=uuid4(),
        device="bench",
        runtime=RUNTIME,
        space="fbnet-32",
        origin="emulated",
        effort=effort,
        started_at=datetime.now(UTC),
        agent_version="1",
        conditions=Conditions(load_1min=None, clock_mhz=None, temperature_c=None),
    )


def fake_export(program: Program, file: ProgramFile) -> None:
    """Writes the program's name for a `.pte`; runs in worker processes, so it is a function."""
    write_beside(file)
    file.path.write_text(program.name)


def write_beside(file: ProgramFile) -> None:
    """What a program that a fake runs must compute, and by what."""
    file.expected_output.write_bytes(OUTPUT.tobytes())
    file.delegation.write_text(DELEGATION.model_dump_json())


LOAD_NS = 2_500_000
PEAK_BYTES = 3 << 20


class FakeDevice:
    """Takes the microseconds it was told for each operator key; unknown programs fail to load.

    `on_visit` is called before each visit and may raise, as a device that goes away does.
    """

    runtime = RUNTIME
    origin: Origin = "emulated"
    serial = "bench-1"

    def __init__(
        self, us_by_key: dict[str, float], on_visit: Callable[[str], None] = lambda key: None
    ) -> None:
        self.us_by_key = us_by_key
        self.output = OUTPUT.tobytes()
        self.visits: list[str] = []
        self._on_visit = on_visit

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        return

    def describe(self) -> DeviceDescription:
        return DESCRIPTION

    def conditions(self) -> Conditions:
        return Conditions(load_1min=0.5, clock_mhz=None, temperature_c=None)

    def others_cpus(self) -> float | None:
        return 0.0

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        key = file.path.read_text()
        self._on_visit(key)
        if key not in self.us_by_key:
            raise ProgramFailed("load_failed", f"cannot load {file.name}")
        self.visits.append(key)
        ns = round(self.us_by_key[key] * 1000)
        return ProgramTiming(
            samples_ns=(ns,) * plan.min_runs,
            probes_ns=(PROBE_NS,) * (plan.min_runs + 1),
            first_run_ns=ns,
            load_ns=LOAD_NS,
            peak_bytes=PEAK_BYTES,
            output=self.output,
            delegates=DELEGATION.delegates,
            events=(),
        )
