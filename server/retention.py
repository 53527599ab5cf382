"""`python -m server.retention --older-than 90d`: drop the raw samples of old timings."""

import sys
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from sqlalchemy import Engine

from contract.cli import command_line, main
from server.database.engine import open_database, reading, shown, writing
from server.database.schema import explained, require_head
from server.http.clock import utc_now
from server.settings import read_settings
from server.spans import span
from server.store.agents import count_away, forget_away
from server.store.retention import count_samples, drop_samples, old_samples
from server.store.visits import count_visits, drop_visits

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
    database_url: Annotated[
        str | None, Parameter(help="SQLite or PostgreSQL [default: $PHONEBOOK_DATABASE_URL].")
    ] = None,
) -> None:
    """Keep each old timing's figures and drop the samples that they were computed from.

    Agents that were not heard of for so long are forgotten too, with their units.
    """
    before = utc_now() - span("--older-than", older_than)
    engine = open_database(read_settings(database_url=database_url).database_url)
    require_head(engine)
    with explained(engine):
        _keep(engine, before, dry_run=dry_run)
    engine.dispose()


def _keep(engine: Engine, before: datetime, *, dry_run: bool) -> None:
    with reading(engine)() as session:
        count, away = count_samples(session, before), count_away(session, before)
        visited = count_visits(session, before)
    timings = f"timings measured before {before:%Y-%m-%d %H:%M} UTC"
    if dry_run:
        _say(f"{count:,} {timings} have raw samples in {shown(engine.url)}; nothing was dropped")
        _say(f"{visited:,} visits were made before; none was dropped")
        _say(f"{away:,} agents were not heard of since; none was forgotten")
    else:
        dropped = kept = 0
        for batch in old_samples(reading(engine), before):
            with writing(engine).begin() as session:
                dropped += drop_samples(session, batch, utc_now())
            kept += sum(old.figures is None for old in batch)
            _progress(f"{dropped:,} of {count:,}")
        _say(f"dropped the raw samples of {dropped:,} {timings}; their figures stay")
        if kept:
            _say(f"kept those of {kept:,} more, from which no figures can be computed")
        with writing(engine).begin() as session:
            _say(f"dropped {drop_visits(session, before):,} visits made before")
        with writing(engine).begin() as session:
            agents, units = forget_away(session, before)
        _say(f"forgot {agents:,} agents that were not heard of since, and {units:,} units")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _progress(words: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{words} ")


if __name__ == "__main__":
    main(app)
