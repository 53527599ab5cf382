"""`python -m device_agent.compare SESSION SESSION`: how well two sessions repeat each other."""

import sys
from statistics import fmean
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat
from rich.table import Table

from contract import levels
from contract.cli import command_line, main
from contract.client import default_server, table_client
from contract.errors import PhonebookError
from contract.estimates import Grade, quantile
from contract.levels import Level, is_within
from contract.sessions import Session
from contract.tables import SessionReport
from contract.values import Value
from device_agent import screen

HEAVY_US = 50.0  # smaller rows are counted in few ticks of the delegate's clock
SHOWN = 10

app = command_line(
    "python -m device_agent.compare", "Compare two sessions of the same runtime, row by row."
)


class Pair(Value):
    """An operator's row in both sessions; `difference` is (second - first) / first."""

    operator: str
    first_us: PositiveFloat
    second_us: PositiveFloat
    first_grade: Grade
    second_grade: Grade
    difference: float


class Repeatability(Value):
    """How far two sessions lie apart.

    `shift` is the median signed difference, `median`, `p95` and `worst` are of absolute ones, all
    over the rows of at least 50 us in the first session. `certain` is the share of A and B among
    the grades of all rows that both have, `covered` the share of those rows that lie no farther
    apart than their joint 95 % interval. `level` is the second session's against the first, where
    both timed the same networks whole, and `covered_at_level` that share with the level taken out.
    """

    rows: NonNegativeInt
    heavy_rows: NonNegativeInt
    shift: float
    median: NonNegativeFloat
    p95: NonNegativeFloat
    worst: NonNegativeFloat
    certain: NonNegativeFloat
    covered: NonNegativeFloat
    level: Level | None
    covered_at_level: NonNegativeFloat | None
    pairs: tuple[Pair, ...]


@app.default
def run(
    first: Annotated[UUID, Parameter(help="A session's id, as the agent printed it.")],
    second: Annotated[UUID, Parameter(help="Another session's id.")],
    /,
    *,
    server: Annotated[
        str | None, Parameter(help="Its address [default: $PHONEBOOK_SERVER or port 8420 here].")
    ] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print the comparison as JSON on stdout.")
    ] = False,
) -> None:
    """Print the rows of both sessions that differ most, and the repeatability figures."""
    with table_client(server or default_server()) as client:
        reports = client.session_report(str(first)), client.session_report(str(second))
    found = repeatability(*reports)
    if as_json:
        sys.stdout.write(found.model_dump_json() + "\n")
    show(found)


def repeatability(first: SessionReport, second: SessionReport) -> Repeatability:
    """Compare what both sessions measured.

    Raises:
        PhonebookError: they are not of the same device and runtime, or have no row in common.
    """
    for what, its, others in (
        ("device", first.session.device, second.session.device),
        ("runtime", first.session.runtime.key, second.session.runtime.key),
    ):
        if its != others:
            raise PhonebookError(
                f"the sessions differ in their {what}, {its} and {others}: their timings are not "
                "comparable; give two sessions of the same device and runtime"
            )
    rows = {timing.operator: timing.estimate for timing in second.timings}
    level = _level(first.session, second.session)
    pairs, covered, covered_at_level = [], [], []
    for timing in first.timings:
        one, another = timing.estimate, rows.get(timing.operator)
        if one is not None and another is not None:
            covered.append(is_within(one, another))
            covered_at_level.append(is_within(one, another, level))
            pairs.append(
                Pair(
                    operator=timing.operator,
                    first_us=one.latency_us,
                    second_us=another.latency_us,
                    first_grade=one.grade,
                    second_grade=another.grade,
                    difference=another.latency_us / one.latency_us - 1,
                )
            )
    heavy = [pair.difference for pair in pairs if pair.first_us >= HEAVY_US]
    if not heavy:
        raise PhonebookError(
            f"sessions {first.session.id} and {second.session.id} have no row of at least "
            f"{HEAVY_US:.0f} us in common; give two sessions of one space"
        )
    sizes = sorted(map(abs, heavy))
    grades = [grade for pair in pairs for grade in (pair.first_grade, pair.second_grade)]
    return Repeatability(
        rows=len(pairs),
        heavy_rows=len(heavy),
        shift=quantile(sorted(heavy), 0.5),
        median=quantile(sizes, 0.5),
        p95=quantile(sizes, 0.95),
        worst=sizes[-1],
        certain=sum(grade != "C" for grade in grades) / len(grades),
        covered=fmean(covered),
        level=level,
        covered_at_level=fmean(covered_at_level) if level else None,
        pairs=tuple(pairs),
    )


def _level(first: Session, second: Session) -> Level | None:
    """The second session's level against the first's."""
    if first.derivation is None or second.derivation is None:
        return None
    return levels.level(first.id, first.derivation.references, second.derivation.references)


def show(found: Repeatability) -> None:
    table = Table(title=f"the {SHOWN} of {found.rows} rows that differ most")
    table.add_column("operator")
    for column in ("first us", "second us", "difference", "grades"):
        table.add_column(column, justify="right")
    for pair in sorted(found.pairs, key=lambda pair: -abs(pair.difference))[:SHOWN]:
        table.add_row(
            pair.operator,
            f"{pair.first_us:,.1f}",
            f"{pair.second_us:,.1f}",
            f"{pair.difference:+.2%}",
            f"{pair.first_grade} {pair.second_grade}",
        )
    screen.console.print(table)
    screen.console.print(
        f"{found.heavy_rows} rows of at least {HEAVY_US:.0f} us: median difference "
        f"{found.median:.2%}, p95 {found.p95:.2%}, worst {found.worst:.2%}, "
        f"shift {found.shift:+.2%}; {found.certain:.0%} of the grades are A or B; "
        f"{found.covered:.0%} of {found.rows} differences are within the 95 % interval",
        highlight=False,
    )
    if found.level is not None:
        screen.console.print(
            f"the networks that both timed took {found.level.factor:.3f} times as long in the "
            f"second session ({found.level.low:.2f} to {found.level.high:.2f}, by "
            f"{found.level.references}); with that taken out, {found.covered_at_level:.0%} of the "
            "differences are within the 95 % interval",
            highlight=False,
        )


if __name__ == "__main__":
    main(app)
