"""`python -m server.retention --older-than 90d`: drop the raw samples of old timings."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from contract.cli import command_line, main
from server.http.clock import utc_now
from server.keeper import DatabaseUrl, kept_database, say
from server.spans import span

if TYPE_CHECKING:
    from sqlalchemy import Engine

app = command_line(
    "python -m server.retention",
    "Drop the raw samples and visits of old timings, which are most of a database. Tables, "
    "reports of sessions and audits keep every figure; what is lost is the chance to compute a "
    "better estimate from them one day. The server may go on serving meanwhile.",
)


@app.default
def run(
    *,
    older_than: Annotated[str, Parameter(help="Since they were measured: 90d, 12w or 36h.")],
    dry_run: Annotated[bool, Parameter(negative="", help="Only count them.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Keep each old timing's figures and drop the samples that they were computed from.

    Agents that were not heard of for so long are forgotten too, with their units.
    """
    before = utc_now() - span("--older-than", older_than)
    with kept_database(database_url) as engine:
        _keep(engine, before, dry_run=dry_run)


def _keep(engine: "Engine", before: datetime, *, dry_run: bool) -> None:
    from server.database.engine import reading, shown, writing
    from server.store.agents import count_away, forget_away
    from server.store.retention import count_samples, drop_samples, old_samples
    from server.store.visits import count_visits, drop_visits

    with reading(engine)() as session:
        count, away = count_samples(session, before), count_away(session, before)
        visited = count_visits(session, before)
    timings = f"timings measured before {before:%Y-%m-%d %H:%M} UTC"
    if dry_run:
        say(f"{count:,} {timings} have raw samples in {shown(engine.url)}; nothing was dropped")
        say(f"{visited:,} visits were made before; none was dropped")
        say(f"{away:,} agents were not heard of since; none was forgotten")
    else:
        dropped = kept = 0
        for batch in old_samples(reading(engine), before):
            with writing(engine).begin() as session:
                dropped += drop_samples(session, batch, utc_now())
            kept += sum(old.figures is None for old in batch)
            _progress(f"{dropped:,} of {count:,}")
        say(f"dropped the raw samples of {dropped:,} {timings}; their figures stay")
        if kept:
            say(f"kept those of {kept:,} more, from which no figures can be computed")
        with writing(engine).begin() as session:
            say(f"dropped {drop_visits(session, before):,} visits made before")
        with writing(engine).begin() as session:
            agents, units = forget_away(session, before)
        say(f"forgot {agents:,} agents that were not heard of since, and {units:,} units")


def _progress(words: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{words} ")


if __name__ == "__main__":
    main(app)
