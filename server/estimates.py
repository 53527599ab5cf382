"""`python -m server.estimates`: make the rows of measured sessions anew by today's estimator."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from contract import commands
from contract.cli import command_line, main
from contract.derivation import ESTIMATOR
from server.http.clock import utc_now
from server.keeper import KEEPER, DatabaseUrl, kept_database, say

if TYPE_CHECKING:
    from server.store.reestimates import Reestimate

app = command_line(
    "python -m server.estimates",
    "Make the rows of measured sessions anew, from what was measured, by the estimator of this "
    "version. Tables as they were stay under their snapshots, and the server may go on serving.",
)


@app.default
def run(
    *,
    again: Annotated[
        bool, Parameter(negative="", help="Do it; else say how many sessions there are.")
    ] = False,
    device: Annotated[str | None, Parameter(help="Sessions on this device alone.")] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Estimate every measured session again, one transaction each.

    It may be interrupted and run again: what is up to date is not touched.
    """
    from server.database.engine import reading, writing
    from server.store.reestimates import estimate_again, sessions_to_estimate

    with kept_database(database_url) as engine:
        with reading(engine)() as session:
            found = sessions_to_estimate(session, device)
        if not again:
            say(f"{len(found):,} sessions; --again estimates them by {ESTIMATOR}")
            return
        done = []
        for number, each in enumerate(found, start=1):
            with writing(engine).begin() as session:
                done.append(estimate_again(session, each, KEEPER, utc_now()))
            _progress(f"{number:,} of {len(found):,} sessions")
        _report(done)


def _report(done: list["Reestimate"]) -> None:
    timings = sum(each.timings for each in done)
    changed = sum(each.changed for each in done)
    say(f"estimated {timings:,} timings of {len(done):,} sessions again: {changed:,} changed")
    before = [each for each in done if not each.from_visits]
    if before:
        say(
            f"{len(before):,} of the sessions have no visits: their samples were corrected before "
            "they were sent"
        )
    waiting = [each for each in done if each.is_waiting]
    if waiting:
        say(
            f"{len(waiting):,} of the sessions are left as they are: some of their visits are "
            f"still with their agents; there, `{commands.send_outbox()}` sends them"
        )
    kept = sum(each.kept for each in done if not each.is_waiting)
    if kept:
        say(f"{kept:,} timings keep their figures, since their samples were dropped")


def _progress(words: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{words} ")


if __name__ == "__main__":
    main(app)
