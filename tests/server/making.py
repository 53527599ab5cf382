"""Plausible devices, sessions and timings, with the dull fields filled in."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from contract.audits import Audit, AuditedNetwork
from contract.devices import Conditions, DeviceDescription
from contract.estimates import estimate
from contract.levels import AtLevel, Level
from contract.networks import network
from contract.operators import Operator
from contract.runtime import Runtime
from contract.searches import (
    FoundLayer,
    FoundNetwork,
    LearntFrom,
    SearchEpoch,
    SearchPlan,
    SearchRun,
)
from contract.sessions import Origin, Session
from contract.spaces import space
from contract.timings import Failure, Timing
from contract.values import Value

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
TWO_THREADS = RUNTIME.evolve(threads=2)
PHONE = DeviceDescription(
    model="Test Phone 1", soc="Test SoC 9", cores=8, memory_bytes=8 * 2**30, os="TestOS 3"
)


def a_session(
    device: str = "phone",
    *,
    runtime: Runtime = RUNTIME,
    space: str = SPACE.name,
    origin: Origin = "measured",
    minutes: int = 0,
    source: str | None = None,
) -> Session:
    """A session that began some minutes after noon and took half an hour."""
    return Session(
        id=uuid4(),
        device=device,
        runtime=runtime,
        space=space,
        origin=origin,
        effort="standard",
        started_at=NOON + timedelta(minutes=minutes),
        agent_version="0.1.0",
        conditions=Conditions(load_1min=0.25, clock_mhz=2400.5, temperature_c=None),
        ended_at=NOON + timedelta(minutes=minutes + 30),
        conditions_after=Conditions(load_1min=1.5, clock_mhz=2200, temperature_c=41),
        source=source,
    )


def a_timing(
    operator: Operator = STEM, *, us: float = 100.0, minutes: int = 0, id: UUID | None = None
) -> Timing:
    """Two rounds of three samples, a row of `us`, taken some minutes after noon."""
    samples = (us, us, us + 2)
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


def a_steady_timing(
    operator: Operator = STEM, *, us: float = 100.0, disturbed: int = 0, minutes: int = 0
) -> Timing:
    """Five rounds of ten samples of `us`; the last `disturbed` of each took half as long again."""
    calm = 10 - disturbed
    return Timing(
        id=uuid4(),
        operator=operator,
        measured_at=NOON + timedelta(minutes=minutes),
        rounds_us=((us,) * calm + (us * 1.5,) * disturbed,) * 5,
        drift=((1.0,) * calm + (1.5,) * disturbed,) * 5,
    )


def an_audit(
    device: str = "phone",
    *,
    runtime: Runtime = RUNTIME,
    space: str = SPACE.name,
    origin: Origin = "measured",
    snapshot: str = "sha256:" + "0" * 64,
    predicted_us: tuple[float, ...] = (90, 220, 300),
    minutes: int = 0,
) -> Audit:
    """An audit of networks that took 100, 200, 300 us and so on; its fresh sums are exact."""
    measured_us = [100.0 * number for number in range(1, len(predicted_us) + 1)]
    return Audit(
        id=uuid4(),
        device=device,
        runtime=runtime,
        space=space,
        origin=origin,
        snapshot=snapshot,
        seed=0,
        started_at=NOON,
        ended_at=NOON + timedelta(minutes=minutes),
        agent_version="0.1.0",
        conditions=Conditions(load_1min=0.25, clock_mhz=None, temperature_c=None),
        conditions_after=Conditions(load_1min=0.5, clock_mhz=None, temperature_c=None),
        networks=tuple(
            AuditedNetwork(
                name=f"random-{measured:.0f}",
                blocks=("k3_e1",) * len(SPACE.slots),
                predicted_us=predicted,
                fresh_us=measured,
                measured=estimate([[measured]]),
            )
            for predicted, measured in zip(predicted_us, measured_us, strict=True)
        ),
    )


def an_at_level(latency_us: float, *, factor: float = 1.04) -> AtLevel:
    """What took so many times longer when it was measured than in its table's session."""
    level = Level(
        session=UUID(int=9), factor=factor, low=factor - 0.01, high=factor + 0.01, references=6
    )
    return AtLevel(
        level=level, latency_us=latency_us, low_us=latency_us - 1, high_us=latency_us + 1
    )


def a_plan(
    device: str = "phone",
    *,
    runtime: Runtime = RUNTIME,
    seed: int = 0,
    target_us: float | None = None,
    data: str = "digits",
    group: UUID | None = None,
    minutes: int = 0,
) -> SearchPlan:
    """Three epochs over scikit-learn's digits, begun some minutes after noon."""
    return SearchPlan(
        group=group,
        target=device,
        device=device,
        runtime=runtime,
        space=SPACE.name,
        snapshot="sha256:" + "0" * 64,
        seed=seed,
        preset="small",
        epochs=3,
        target_us=target_us,
        data=LearntFrom(name=data, classes=10, training=1440, test=357),
        config={"paths": "1", "batch_size": 32, "weight_lr": 0.1, "target_ms": None},
        started_at=NOON + timedelta(minutes=minutes),
    )


def an_epoch(number: int = 1, *, favourite: int = 0) -> SearchEpoch:
    """The later the epoch, the surer theta is of that candidate; the first one only warms up."""
    sure = (number - 1) / 3
    shares = [len(choice.candidates) for choice in SPACE.choices]
    return SearchEpoch(
        epoch=number,
        trains_theta=number > 1,
        temperature=5.0 / number,
        weight_cross_entropy=2.0 / number,
        theta_cross_entropy=2.25 / number,
        latency_term=1.5,
        theta_loss=3.0 / number,
        theta_accuracy=1 - 1 / (number + 1),
        expected_latency_us=2000.0 - 100 * number,
        theta_entropy=2.1 - 0.5 * sure,
        theta=tuple(
            tuple((1 - sure) / count + sure * (index == favourite) for index in range(count))
            for count in shares
        ),
        seconds=1.25,
    )


def a_finding(
    blocks: tuple[str, ...] | None = None,
    *,
    predicted_us: float = 1500.0,
    measured_us: float | None = None,
    accuracy: float = 0.9,
) -> FoundNetwork:
    """A network whose layers cost 50 us each, the stem 100 and the head whatever is left."""
    found = network(blocks or ("k3_e1",) * len(SPACE.slots), space=SPACE, name="found")
    return FoundNetwork(
        architecture=found.blocks,
        predicted_us=predicted_us,
        measured_us=measured_us,
        measured_by=None if measured_us is None else "this computer, found.pte",
        accuracy=accuracy,
        macs=found.macs(),
        params=found.params(),
        stem_us=100.0,
        head_us=predicted_us - 100 - 50 * len(found.layers),
        layers=tuple(
            FoundLayer(
                number=number,
                operator=operator.key,
                block=operator.block.name,
                probability=0.75,
                latency_us=50.0,
            )
            for number, operator in enumerate(found.layers, start=1)
        ),
    )


def a_search(plan: SearchPlan | None = None, *, found: FoundNetwork | None = None) -> SearchRun:
    """A search that goes on, or is finished where something was found."""
    return SearchRun(
        plan=plan or a_plan(), state="running" if found is None else "finished", result=found
    )


def unchecked(value: Value, **changes: object) -> str:
    """The value's JSON with fields that it would refuse itself."""
    return json.dumps(value.model_dump(mode="json") | changes)
