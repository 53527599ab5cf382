"""Plausible devices, sessions and timings, with the dull fields filled in."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from contract.operators import Operator
from contract.spaces import space
from contract.timings import (
    Conditions,
    DeviceDescription,
    Failure,
    Origin,
    Runtime,
    Session,
    Timing,
)

SPACE = space("fbnet-32")
STEM = SPACE.stem
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUNTIME = Runtime(
    dtype="float32",
    threads=1,
    memory_format="contiguous",
    executorch="1.5.1",
    runner="python",
    affinity="any",
    protocol="isolated",
)
TWO_THREADS = RUNTIME.model_copy(update={"threads": 2})
PHONE = DeviceDescription(
    model="Test Phone 1", soc="Test SoC 9", cores=8, memory_bytes=8 * 2**30, os="TestOS 3"
)


def a_session(
    device: str = "phone",
    *,
    runtime: Runtime = RUNTIME,
    space: str = SPACE.name,
    origin: Origin = "measured",
) -> Session:
    return Session(
        id=uuid4(),
        device=device,
        runtime=runtime,
        space=space,
        origin=origin,
        started_at=NOON,
        agent_version="0.1.0",
        conditions=Conditions(load_1min=0.25, clock_mhz=2400.5, temperature_c=None),
    )


def a_timing(
    operator: Operator = STEM, *, us: float = 100.0, minutes: int = 0, id: UUID | None = None
) -> Timing:
    """Two rounds of three samples around `us`, taken some minutes after noon."""
    samples = (us, us + 1, us + 2)
    return Timing(
        id=id or uuid4(),
        operator=operator,
        measured_at=NOON + timedelta(minutes=minutes),
        rounds_us=(samples, samples),
    )


def a_failure(operator: Operator = STEM, *, minutes: int = 0) -> Timing:
    return Timing(
        id=uuid4(),
        operator=operator,
        measured_at=NOON + timedelta(minutes=minutes),
        failure=Failure(code="crashed", message="killed by signal <11>"),
    )
