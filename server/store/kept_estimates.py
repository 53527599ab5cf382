"""The figures of timings: as they were kept, or computed of their samples."""

from collections.abc import Sequence

from pydantic import ValidationError

from contract.estimates import Estimate, estimate
from server.database.records import TimingRecord
from server.errors import Unprocessable


def kept_estimate(record: TimingRecord) -> Estimate | None:
    """A timing's figures as they were kept with it, or computed of what an old version stored."""
    if record.figures:
        return Estimate.model_validate(record.figures)
    return estimate_of(record.operator, record.rounds_us or (), record.drift or ())


def estimate_of(
    operator: str, rounds_us: Sequence[Sequence[float]], drift: Sequence[Sequence[float]]
) -> Estimate | None:
    """The figures of an operator's samples; None of a failure, which has none."""
    if not rounds_us:
        return None
    try:
        return estimate(rounds_us, drift)
    except ValidationError as error:
        first = error.errors()[0]
        raise Unprocessable(
            f"rounds_us of {operator} are no durations in us: their {first['loc'][0]} comes out "
            f"as {first['input']}"
        ) from error
