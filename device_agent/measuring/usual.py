"""What a device needs on its calm days, by its earlier sessions."""

from collections.abc import Iterable

from contract.derivation import ESTIMATOR, Calm, Derivation
from contract.estimates import quantile
from contract.sessions import Session

CALM_SESSIONS = 0.25  # of a device's sessions: that many found it calm, at least
DISTURBED = 1.03  # from which ratio on a session never found the device as calm as it can be


def usual_calm(sessions: Iterable[Session], of: Session) -> Calm | None:
    """What the probes take on the device of a session while it is calm, by its other sessions:
    the lower quartile of each. None where it has no other under the same runtime."""
    found = [
        each.derivation.calm
        for each in sessions
        if each.derivation is not None
        and each.derivation.estimator == ESTIMATOR
        and each.id != of.id
        and (each.runtime, each.unit, each.origin) == (of.runtime, of.unit, of.origin)
    ]
    if not found:
        return None
    memory_ns = [calm.memory_probe_ns for calm in found if calm.memory_probe_ns is not None]
    return Calm(
        probe_ns=_usual([calm.probe_ns for calm in found]),
        memory_probe_ns=_usual(memory_ns) if memory_ns else None,
    )


def _usual(probes_ns: list[float]) -> float:
    return round(quantile(sorted(probes_ns), CALM_SESSIONS), 1)


def disturbance_words(derivation: Derivation, *, device: str) -> str | None:
    """That the device was never as calm as in other sessions; None where it was."""
    if derivation.usual is None or derivation.disturbance < DISTURBED:
        return None
    return (
        f"{device} was never as calm as it can be: its probes took "
        f"{derivation.disturbance - 1:.0%} longer in its calm moments than in those of earlier "
        "sessions. Rows are corrected for it, which widens their intervals; measure them again "
        "(--again) when others leave the device alone, or let the agent wait for that (--patience)"
    )
