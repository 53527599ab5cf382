"""Whether a session's rows lie where the device's table has them."""

from collections.abc import Sequence
from statistics import median

from contract.estimates import estimate
from contract.tables import LatencyTable
from contract.timings import Timing

MOST_APART = 0.03  # of two sessions of one device, as a median over operators


def difference_words(timings: Sequence[Timing], before: LatencyTable) -> str | None:
    """That the session's rows lie above or below those of the table before it; None where they do
    not, or where the table had none of them."""
    latency_us = {row.operator: row.latency_us for row in before.entries}
    ratios = [
        estimate(timing.rounds_us, timing.drift).latency_us / latency_us[timing.operator.key]
        for timing in timings
        if timing.rounds_us and latency_us.get(timing.operator.key)
    ]
    if not ratios or abs(median(ratios) - 1) <= MOST_APART:
        return None
    sessions = max(row.sessions for row in before.entries)
    where = "above" if median(ratios) > 1 else "below"
    outcome = (
        "which of the two is right only a third can tell, and rows are less sure until then"
        if sessions == 1
        else "which counts for little in the table, unless further sessions agree with it"
    )
    earlier = "one earlier session" if sessions == 1 else f"{sessions} earlier sessions"
    return (
        f"this session's rows lie {abs(median(ratios) - 1):.0%} {where} those of {earlier}, "
        f"{outcome}: measure once more (--again)"
    )
