"""What a session measured, as the runner reported it: nothing averaged, nothing corrected.

A session visits programs in rounds. A visit times its program once, or once with each operator
inside told apart (a trace) and once without. Durations are in ns.
"""

from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from contract.values import Bytes, Value

MOST_VISITS_IN_BATCH = 200
_MOST_RUNS = 10_000  # of a visit
_MOST_PARTS = 5_000  # operators or events of a program

Nanoseconds = Annotated[int, Field(ge=0, lt=2**63)]
Duration = Annotated[int, Field(ge=1, lt=2**63)]  # of what ran, in ns
ProgramName = Annotated[str, Field(min_length=1, max_length=200)]
Index = Annotated[int, Field(ge=0, lt=_MOST_PARTS)]


def _is_none(told: object) -> bool:
    return told is None


class Layout(Value):
    """A program of a session, and which operator each event of its delegate belongs to.

    `operators` has the keys of all that run, in their order, so that one may come several times.
    `events` are in the order of a run, each a backend's name; `owners` has an index into
    `operators` for each. A program without events is one operator, or a network timed whole.
    """

    program: ProgramName
    operators: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        min_length=1, max_length=_MOST_PARTS
    )
    events: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        default=(), max_length=_MOST_PARTS
    )
    owners: tuple[Index, ...] = ()

    @model_validator(mode="after")
    def _an_owner_for_each_event(self) -> Self:
        if len(self.owners) != len(self.events):
            raise ValueError(f"{self.program}: give an owner for each event")
        if self.owners and max(self.owners) >= len(self.operators):
            raise ValueError(f"{self.program}: an event belongs to no operator")
        return self


class Series(Value):
    """The timed runs of a visit under one plan, in the order taken.

    `probes_ns` has the probe before each run and the one after the last; `memory_probes_ns` the
    one that reaches memory, before the warm-up and after the last run, where the runner has it.
    The program was loaded for this series: `load_ns` and `first_run_ns` tell how long that and its
    first run took, `peak_bytes` how much memory it added at most; visits of versions before have
    none of the four. `events_ns` has the runs of each event of the layout; it is empty without a
    trace.
    """

    samples_ns: tuple[Duration, ...] = Field(min_length=1, max_length=_MOST_RUNS)
    probes_ns: tuple[Duration, ...]
    memory_probes_ns: tuple[Duration, Duration] | None = Field(default=None, exclude_if=_is_none)
    load_ns: Nanoseconds | None = Field(default=None, exclude_if=_is_none)
    first_run_ns: Nanoseconds | None = Field(default=None, exclude_if=_is_none)
    peak_bytes: Bytes | None = Field(default=None, exclude_if=_is_none)
    events_ns: tuple[tuple[Nanoseconds, ...], ...] = Field(default=(), max_length=_MOST_PARTS)

    @model_validator(mode="after")
    def _as_many_runs_everywhere(self) -> Self:
        runs = len(self.samples_ns)
        if len(self.probes_ns) != runs + 1:
            raise ValueError("there must be a probe before each run and one after the last")
        if any(len(event) != runs for event in self.events_ns):
            raise ValueError("each event must have a duration for each run")
        return self


class Visit(Value):
    """One stay at a program, in a round counted from 0."""

    program: ProgramName
    round: int = Field(ge=0, lt=2**31)
    made_at: AwareDatetime
    series: tuple[Series, ...] = Field(min_length=1, max_length=4)


class VisitBatch(Value):
    """Visits of a session, posted at once with the layouts of their programs.

    Stored whole or not at all; what is stored already changes nothing.
    """

    layouts: tuple[Layout, ...]
    visits: tuple[Visit, ...] = Field(max_length=MOST_VISITS_IN_BATCH)

    @model_validator(mode="after")
    def _each_fits_its_layout(self) -> Self:
        layouts = {layout.program: layout for layout in self.layouts}
        for visit in self.visits:
            layout = layouts.get(visit.program)
            if layout is None:
                raise ValueError(f"no layout of the program {visit.program}")
            for series in visit.series:
                if series.events_ns and len(series.events_ns) != len(layout.events):
                    raise ValueError(
                        f"{visit.program}: {len(series.events_ns)} events, and "
                        f"{len(layout.events)} in its layout"
                    )
        return self


class SessionVisits(VisitBatch):
    """All that a session measured, by round and program."""

    visits: tuple[Visit, ...]


class VisitReceipt(Value):
    """How many visits of a batch were new to the server."""

    stored: int
