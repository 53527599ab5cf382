"""What a device needs on its calm days, by its earlier sessions."""

from collections.abc import Iterable

from contract.derivation import Derivation
from contract.estimates import quantile
from contract.sessions import Session

CALM_SESSIONS = 0.25  # of a device's sessions: that many found it calm, at least
DISTURBED = 1.03  # from which ratio on a session never found the device as calm as it can be


def usual_probe_ns(sessions: Iterable[Session], of: Session) -> float | None:
    """What the probe takes at best on the device of a session, by its other sessions: the lower
    quartile. None where it has no other under the same runtime."""
    best_ns = sorted(
        each.derivation.calm_probe_ns
        for each in sessions
        if each.derivation is not None
        and each.id != of.id
        and (each.runtime, each.unit, each.origin) == (of.runtime, of.unit, of.origin)
    )
    return quantile(best_ns, CALM_SESSIONS) if best_ns else None


def disturbance_words(derivation: Derivation, *, device: str) -> str | None:
    """That the device was never as calm as in other sessions; None where it was."""
    if derivation.usual_probe_ns is None or derivation.disturbance < DISTURBED:
        return None
    return (
        f"{device} was never as calm as it can be: the probe took "
        f"{derivation.calm_probe_ns / 1000:.1f} us at best, and "
        f"{derivation.usual_probe_ns / 1000:.1f} us in its calm sessions. Rows may be "
        f"{derivation.disturbance - 1:.0%} too slow or more; measure them again (--again) when "
        "others leave it alone, or let the agent wait for that (--patience)"
    )
