"""From visits to samples: each correction a named step that can be made again, on the server too.

`ESTIMATOR` names these steps together with `contract.estimates`. Whoever changes what comes of
the same visits changes the name.

Shape suffixes: E events, N runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from pydantic import Field

from contract.estimates import CALM, Estimate, estimate
from contract.levels import Reference
from contract.values import Value
from contract.visits import Layout, Series, Visit

if TYPE_CHECKING:
    from numpy.typing import NDArray

ESTIMATOR = "probe-1"
EVENT_CUT_NS = 500.0  # on average, of an event that XNNPACK tells in whole microseconds
# Of a session's probes: the device at its best. Not the least, which may be a freak.
BEST_PROBE_QUANTILE = 0.02
# What a run takes longer, as a power of what the probe that reaches memory takes longer. Chosen on
# a campaign of five sessions, with the cache's probe at 1: docs/decisions/0016.
MEMORY_SHARE = 0.4


def _optional_ns() -> Any:
    return Field(default=None, gt=0, exclude_if=lambda ns: ns is None)


class Calm(Value):
    """What the probes of a calm device take, in ns; `memory_probe_ns` of the one that reaches
    memory, null where the runner has none."""

    probe_ns: float = Field(gt=0)
    memory_probe_ns: float | None = _optional_ns()

    def slowdown(self, other: "Calm") -> float:
        """How many times longer a run takes here than there, by what the probes take."""
        factor = self.probe_ns / other.probe_ns
        if self.memory_probe_ns is not None and other.memory_probe_ns is not None:
            factor *= (self.memory_probe_ns / other.memory_probe_ns) ** MEMORY_SHARE
        return factor


class Derivation(Value):
    """How a session's samples came of its visits.

    `event_cut_ns` was added to each event, and samples of operators that were timed inside
    networks were multiplied by `scale`, null where there were none: by how much whole networks
    take longer than their operators' events. The `calm_` fields are what the probes took while
    the device was calm, the `usual_` fields what they take then by earlier sessions, if there
    were any: a sample's drift is told against these. `references` are the networks whose
    events were told, as they ran untraced: what says later at which level of the device this
    session was (`contract.levels`).
    """

    estimator: str = Field(min_length=1, max_length=50)
    event_cut_ns: float = Field(ge=0)
    scale: float | None = Field(default=None, gt=0)
    calm_probe_ns: float = Field(gt=0)
    calm_memory_probe_ns: float | None = _optional_ns()
    usual_probe_ns: float | None = _optional_ns()
    usual_memory_probe_ns: float | None = _optional_ns()
    references: tuple[Reference, ...] = Field(default=(), exclude_if=lambda they: not they)

    @property
    def calm(self) -> Calm:
        """The device in this session's calm moments."""
        return Calm(probe_ns=self.calm_probe_ns, memory_probe_ns=self.calm_memory_probe_ns)

    @property
    def usual(self) -> Calm | None:
        """The device in the calm moments of earlier sessions."""
        if self.usual_probe_ns is None:
            return None
        return Calm(probe_ns=self.usual_probe_ns, memory_probe_ns=self.usual_memory_probe_ns)

    @property
    def told_against(self) -> Calm | None:
        """The device that samples were brought to; None by an estimator of before, which brought
        them nowhere."""
        return (self.usual or self.calm) if self.estimator == ESTIMATOR else None

    @property
    def disturbance(self) -> float:
        """How many times longer a run takes in this session's calm moments than in those of
        earlier ones; 1 where there were none."""
        return self.calm.slowdown(self.usual) if self.usual else 1.0


@dataclass(slots=True)
class Rounds:
    """All samples of one name, by visit, with the drift of each; `at` is the last visit."""

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
    usual: Calm | None = None,
) -> Derived | None:
    """The samples that a session's visits give; None where there is no visit.

    `usual` is the calm device by earlier sessions, to which samples are brought where there were
    any: one that never found the device calm does not take its own best moments for calm.

    An operator that a network holds several times gets their mean, by run. What a run spends
    outside its events is in none, and neither is the tracer's own cost: `scale` brings operators
    up to whole untraced networks. It is the median over the networks with events. The visits may
    come in any order; samples are in the order in which they were made.
    """
    calm = _calm([series for visit in visits for series in visit.series])
    if calm is None:
        return None
    against = usual or calm
    by_program = {layout.program: layout for layout in layouts}
    operators: dict[str, Rounds] = {}
    networks: dict[str, Rounds] = {}
    for visit in sorted(visits, key=lambda each: (each.round, each.made_at, each.program)):
        layout = by_program[visit.program]
        for series in visit.series:
            drift = _drift(series, against)
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
            calm_probe_ns=calm.probe_ns,
            calm_memory_probe_ns=calm.memory_probe_ns,
            usual_probe_ns=usual and usual.probe_ns,
            usual_memory_probe_ns=usual and usual.memory_probe_ns,
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


def _calm(all_series: Sequence[Series]) -> Calm | None:
    probes_ns = [ns for series in all_series for ns in series.probes_ns]
    memory_ns = [ns for series in all_series for ns in series.memory_probes_ns or ()]
    if not probes_ns:
        return None
    return Calm(
        probe_ns=_calm_ns(probes_ns), memory_probe_ns=_calm_ns(memory_ns) if memory_ns else None
    )


def _calm_ns(probes_ns: Sequence[int]) -> float:
    """What the probe takes while the device is calm: the median of those within 10 % of its best.

    The best alone is more than a calm device gives; a quantile of all would depend on how much of
    the session was calm.
    """
    import numpy as np  # of which most commands need nothing

    probe_N = np.asarray(probes_ns)
    best_ns = np.quantile(probe_N, BEST_PROBE_QUANTILE)
    return round(float(np.median(probe_N[probe_N <= CALM * best_ns])), 1)


def _drift(series: Series, calm: Calm) -> list[float]:
    """How many times longer than on the calm device each run took, by the slower of the probes
    before and after it and by what the series' memory probes took on average."""
    import numpy as np

    factor_N = np.maximum(series.probes_ns[:-1], series.probes_ns[1:]) / calm.probe_ns
    if series.memory_probes_ns is not None and calm.memory_probe_ns is not None:
        memory_ns = fmean(series.memory_probes_ns)
        factor_N = factor_N * (memory_ns / calm.memory_probe_ns) ** MEMORY_SHARE
    drift: list[float] = np.round(factor_N, 4).tolist()
    return drift
