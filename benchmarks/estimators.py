"""`python -m benchmarks.estimators FILE...`: campaigns' sessions judged against each other.

Rows of each session predict the networks that every other session of the files measured, and so do
rows that rest on all other sessions together: as the networks were measured, and at the level of
the rows (`contract.levels`). The networks are held out: nothing is fitted to them, and the level
comes of the designed networks alone. Then the rows themselves: how far those of two sessions lie
apart, and for how many the difference is within the joint 95 % interval. It takes seconds, and no
device.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, permutations
from pathlib import Path
from statistics import fmean, median

from rich.table import Table

from benchmarks.campaign.data import CampaignSession, read
from contract.audits import Errors, errors
from contract.cli import command_line, main
from contract.derivation import Calm, derive
from contract.errors import PhonebookError
from contract.estimates import Estimate, quantile
from contract.levels import Level, Reference, is_within, level
from contract.sessions import Session
from device_agent.measuring.usual import usual_calm
from search.console import plain_console
from server.store.pooling import Pool, SessionFigures, pooled

HEAVY_US = 50.0  # rows over it count for repeatability

app = command_line("python -m benchmarks.estimators", __doc__ or "")


@dataclass(frozen=True, slots=True)
class Judged:
    """What comes of a session's visits.

    `rows` are by operator, `wholes` by program; `held_out` has the operators of each network that
    is no reference, by program.
    """

    kept: CampaignSession
    session: Session
    rows: Mapping[str, Estimate]
    wholes: Mapping[str, Estimate]
    references: tuple[Reference, ...]
    held_out: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Rows of one session or more held against another session."""

    table: Sequence[Judged]
    target: Judged
    level: Level
    as_measured: Errors
    at_level: Errors
    rows: "RowsApart"
    rows_at_level: "RowsApart"


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsApart:
    """How far rows over 50 us lie apart, and for which share of all the interval holds that."""

    median: float
    p95: float
    covered: float


def judged(kept: CampaignSession, usual: Calm | None) -> Judged:
    derived = derive(kept.visits.layouts, kept.visits.visits, usual=usual)
    assert derived is not None, "a campaign keeps sessions with visits"
    return Judged(
        kept=kept,
        session=kept.session.evolve(derivation=derived.derivation),
        rows={key: each.estimate() for key, each in derived.operators.items()},
        wholes={program: each.estimate() for program, each in derived.networks.items()},
        references=derived.derivation.references,
        held_out={
            layout.program: layout.operators
            for layout in kept.visits.layouts
            if layout.program in derived.networks and not layout.events
        },
    )


def held(table: Sequence[Judged], kept: CampaignSession) -> Held:
    """The table's sessions, the newest first, against another one that is told against the calm
    device of the table, as in all comparisons."""
    newest = table[0]
    assert newest.session.derivation is not None
    target = judged(kept, newest.session.derivation.told_against)
    rows = {key: pooled([_figures(each, key) for each in table]) for key in newest.rows}
    above = median(rows[key].latency_us / newest.rows[key].latency_us for key in rows)
    references = [each.multiplied(above) for each in newest.references]
    found = level(newest.session.id, references, target.references)
    assert found is not None, "sessions of a campaign visit the same designs"
    predicted_us = [
        sum(rows[key].latency_us for key in operators) for operators in target.held_out.values()
    ]
    measured_us = [target.wholes[program].latency_us for program in target.held_out]
    return Held(
        table=table,
        target=target,
        level=found,
        as_measured=errors(predicted_us, measured_us),
        at_level=errors(predicted_us, [us / found.factor for us in measured_us]),
        rows=_rows_apart(rows, target, None),
        rows_at_level=_rows_apart(rows, target, found),
    )


def _figures(of: Judged, key: str) -> SessionFigures:
    assert of.session.derivation is not None
    calm = of.session.derivation.told_against
    return SessionFigures.of(of.session.id, of.session.started_at, of.rows[key], calm)


def _rows_apart(rows: Mapping[str, Pool], target: Judged, found: Level | None) -> RowsApart:
    """The target's rows are no surer of other days than the table's."""
    factor = found.factor if found else 1.0
    alone = {key: pooled([_figures(target, key)]) for key in rows}
    heavy = sorted(
        abs(math.log(alone[key].latency_us / row.latency_us / factor))
        for key, row in rows.items()
        if row.latency_us > HEAVY_US
    )
    covered = [is_within(row, alone[key], found) for key, row in rows.items()]
    return RowsApart(median=median(heavy), p95=quantile(heavy, 0.95), covered=fmean(covered))


def sessions_of(paths: Sequence[Path]) -> list[Judged]:
    """Each as its agent derives it: told against the device's calm by the sessions before."""
    so_far: list[Judged] = []
    every = chain.from_iterable(map(read, paths))
    for kept in sorted(every, key=lambda each: each.session.started_at):
        usual = usual_calm([each.session for each in so_far], kept.session)
        so_far.append(judged(kept, usual))
    return so_far


def _percent(share: float) -> str:
    return f"{share:.1%}"


def show(title: str, found: Sequence[Held]) -> None:
    table = Table(title=title)
    for name in ("rows of", "networks of", "level"):
        table.add_column(name)
    for what in ("as measured", "at level"):
        for name in ("bias", "MAPE", "worst", "tau"):
            table.add_column(f"{what}: {name}", justify="right")
    for name in ("median", "p95", "covered", "at level: covered"):
        table.add_column(f"rows {name}", justify="right")
    for each in found:
        table.add_row(
            _called(each.table[0]) if len(each.table) == 1 else f"{len(each.table)} others",
            _called(each.target),
            f"{each.level.factor:.3f}",
            *_told(each.as_measured),
            *_told(each.at_level),
            _percent(each.rows.median),
            _percent(each.rows.p95),
            _percent(each.rows.covered),
            _percent(each.rows_at_level.covered),
        )
    console = plain_console()
    console.width = 260
    console.print(table)
    for what, all_errors, all_rows in (
        ("as measured", [each.as_measured for each in found], [each.rows for each in found]),
        ("at level", [each.at_level for each in found], [each.rows_at_level for each in found]),
    ):
        console.print(
            f"{what}, {len(found)}: mean of |bias| "
            f"{fmean(abs(each.bias) for each in all_errors):.2%}, MAPE "
            f"{fmean(each.mape for each in all_errors):.2%}, worst "
            f"{max(each.worst for each in all_errors):.2%}, tau "
            f"{fmean(each.kendall_tau for each in all_errors):.3f}; rows over {HEAVY_US:.0f} us "
            f"differ by {fmean(each.median for each in all_rows):.2%} (p95 "
            f"{fmean(each.p95 for each in all_rows):.2%}), "
            f"{fmean(each.covered for each in all_rows):.1%} of all within their interval"
        )


def _called(session: Judged) -> str:
    return f"{session.session.started_at:%H:%M} {session.kept.neighbour}"


def _told(found: Errors) -> Iterable[str]:
    return (
        f"{found.bias:+.1%}",
        _percent(found.mape),
        _percent(found.worst),
        f"{found.kendall_tau:.3f}",
    )


@app.default
def run(*files: Path) -> None:
    """Judge the sessions of these files, of one device, together."""
    found = sessions_of(files)
    if len(found) < 2:
        raise PhonebookError(
            "give campaigns with two sessions at least, as benchmarks/campaign/*.xz"
        )
    one = [held([table], other.kept) for table, other in permutations(found, 2)]
    show("rows of one session", one)
    together = [
        held([each for each in reversed(found) if each is not other], other.kept)
        for other in found
    ]
    show("rows of all others together", together)


if __name__ == "__main__":
    main(app)
