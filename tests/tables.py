"""Tables with made-up latencies."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from contract.operators import Operator
from contract.runtime import Runtime
from contract.spaces import SearchSpace
from contract.tables import LatencyTable, Row

RUNTIME = Runtime.parse("xnnpack-float32-t1-contiguous-et1.5.1-python-any-isolated")


def table_of(
    space: SearchSpace,
    latency_us: Callable[[Operator], float] | None = None,
    *,
    without: tuple[str, ...] = (),
    device: str = "test-phone",
    runtime: Runtime = RUNTIME,
) -> LatencyTable:
    """A table with test values: by default each row costs 10 us more than the one before."""
    costs = {operator: 10.0 * number for number, operator in enumerate(space.operators, start=1)}
    cost_of = latency_us or costs.__getitem__
    missing = tuple(op.key for op in space.operators if op.key in without)
    return LatencyTable(
        schema_version=1,
        device=device,
        runtime=runtime,
        origin="emulated",
        space=space.name,
        complete=not missing,
        missing=missing,
        failures=(),
        snapshot="sha256:" + "ab" * 32,
        audit=None,
        entries=tuple(
            Row(
                operator=operator.key,
                latency_us=cost_of(operator),
                low_us=cost_of(operator),
                high_us=cost_of(operator),
                grade="C",
                median_us=cost_of(operator),
                p90_us=cost_of(operator),
                min_us=cost_of(operator),
                samples=1,
                calm=1,
                rounds=1,
                measured_at=datetime(2026, 1, 1, tzinfo=UTC),
                origin="emulated",
                session=UUID(int=1),
            )
            for operator in space.operators
            if operator.key not in without
        ),
    )
