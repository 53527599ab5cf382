"""From visits to samples: each correction a named step that can be made again, on the server too.

`ESTIMATOR` names these steps together with `contract.estimates`. Whoever changes what comes of
the same visits changes the name.

Shape suffixes: E events, N runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

from pydantic import Field

from contract.estimates import Estimate, estimate
from contract.levels import Reference
from contract.values import Value
from contract.visits import Layout, Series, Visit

if TYPE_CHECKING:
    from numpy.typing import NDArray

ESTIMATOR = "calm-1"
EVENT_CUT_NS = 500.0  # on average, of an event that XNNPACK tells in whole microseconds
# Of a session's probes: what the calm device needs. Not the least, which may be a freak.
CALM_PROBE_QUANTILE = 0.02


class Derivation(Value):
    """How a session's samples came of its visits.

    `event_cut_ns` was added to each event, and samples of operators that were timed inside
    networks were multiplied by `scale`, null where there were none: by how much whole networks
    take longer than their operators' events. `calm_probe_ns` is what the probe took when the
    device was calmest, `usual_probe_ns` what it took then in earlier sessions, if there were any:
    a sample's drift is told against the lesser. `references` are the networks whose events were
    told, as they ran untraced: what says later at which level of the device this session was
    (`contract.levels`).
    """

    estimator: str = Field(min_length=1, max_length=50)
    event_cut_ns: float = Field(ge=0)
    scale: float | None = Field(default=None, gt=0)
    calm_probe_ns: float = Field(gt=0)
    usual_probe_ns: float | None = Field(default=None, gt=0, exclude_if=lambda ns: ns is None)
    references: tuple[Reference, ...] = Field(default=(), exclude_if=lambda they: not they)

    @property
    def disturbance(self) -> float:
        """How many times longer the probe took at best than it usually does at best; 1 where that
        is not known."""
        return self.calm_probe_ns / self.usual_probe_ns if self.usual_probe_ns else 1.0


@dataclass(slots=True)
class Rounds:
    """All samples of one name, by visit, with the drift factor of each; `at` is the last visit."""

    at: datetime
    us: list[list[float]] = field(default_factory=list)
    drift: list[list[float]] = field(default_factory=list)

    def estimate(self) -> Estimate:
        return estimate(self.us, self.drift)

    def multiply(self, factor: float) -> None:
        self.us = [[round(us * factor, 3) for us in samples] for samples in self.us]


@dataclass(frozen=True, slots=True)
class Derived:
    """The samples of operators by key, those of whole networks by program, and how they came."""

    operators: dict[str, Rounds]
    networks: dict[str, Rounds]
    derivation: Derivation


def derive(
    layouts: Sequence[Layout],
    visits: Sequence[Visit],
    *,
    usual_probe_ns: float | None = None,
) -> Derived | None:
    """The samples that a session's visits give; None where there is no visit.

    `usual_probe_ns` is what the probe takes on the calm device by earlier sessions: one that never
    found the device calm does not take its own best moments for calm.

    An operator that a network holds several times gets their mean, by run. What a run spends
    outside its events is in none, and neither is the tracer's own cost: `scale` brings operators
    up to whole untraced networks. It is the median over the networks with events. The visits may
    come in any order; samples are in the order in which they were made.
    """
    import numpy as np  # of which most commands need nothing

    probes_ns = [ns for visit in visits for series in visit.series for ns in series.probes_ns]
    if not probes_ns:
        return None
    own_ns = float(np.quantile(probes_ns, CALM_PROBE_QUANTILE))
    calm_ns = min(own_ns, usual_probe_ns or own_ns)
    by_program = {layout.program: layout for layout in layouts}
    operators: dict[str, Rounds] = {}
    networks: dict[str, Rounds] = {}
    for visit in sorted(visits, key=lambda each: (each.round, each.made_at, each.program)):
        layout = by_program[visit.program]
        for series in visit.series:
            drift = _drift(series.probes_ns, calm_ns)
            if series.events_ns:
                found, home = _booked(layout, series), operators
            elif len(layout.operators) == 1:
                found, home = {layout.operators[0]: _us(series.samples_ns)}, operators
            else:
                found, home = {layout.program: _us(series.samples_ns)}, networks
            for name, samples_us in found.items():
                rounds = home.setdefault(name, Rounds(visit.made_at))
                rounds.us.append(samples_us)
                rounds.drift.append(drift)
                rounds.at = max(rounds.at, visit.made_at)
    references = _references(layouts, networks)
    scale = _scale(layouts, operators, references)
    if scale is not None:
        for rounds in operators.values():
            rounds.multiply(scale)
    return Derived(
        operators,
        networks,
        Derivation(
            estimator=ESTIMATOR,
            event_cut_ns=EVENT_CUT_NS,
            scale=scale,
            calm_probe_ns=own_ns,
            usual_probe_ns=usual_probe_ns,
            references=references,
        ),
    )


def _booked(layout: Layout, series: Series) -> dict[str, list[float]]:
    """Each operator's time in us, by traced run: the sum of its events, cuts made up for."""
    import numpy as np

    event_EN = np.array(series.events_ns, dtype=np.float64) + EVENT_CUT_NS
    owner_E = np.array(layout.owners)
    per_key: dict[str, list[NDArray[np.float64]]] = {}
    for index, key in enumerate(layout.operators):
        per_key.setdefault(key, []).append(event_EN[owner_E == index].sum(axis=0))
    return {
        key: [round(ns / 1000, 3) for ns in np.mean(samples, axis=0).tolist()]
        for key, samples in per_key.items()
    }


def _references(layouts: Sequence[Layout], networks: dict[str, Rounds]) -> tuple[Reference, ...]:
    """In the order of their names, whoever derives them."""
    timed = sorted({layout.program for layout in layouts if layout.events} & networks.keys())
    return tuple(Reference.of(program, networks[program].estimate()) for program in timed)


def _scale(
    layouts: Sequence[Layout], operators: dict[str, Rounds], references: Sequence[Reference]
) -> float | None:
    latency_us = {key: rounds.estimate().latency_us for key, rounds in operators.items()}
    by_program = {layout.program: layout for layout in layouts}
    factors = [
        each.latency_us / sum(latency_us[key] for key in by_program[each.program].operators)
        for each in references
    ]
    return median(factors) if factors else None


def _us(samples_ns: Sequence[int]) -> list[float]:
    return [ns / 1000 for ns in samples_ns]


def _drift(probes_ns: Sequence[int], calm_ns: float) -> list[float]:
    """The slower of the probes before and after each run, over what the calm device needs."""
    import numpy as np

    slower = np.maximum(probes_ns[:-1], probes_ns[1:]) / calm_ns
    drift: list[float] = np.round(slower, 3).tolist()
    return drift
