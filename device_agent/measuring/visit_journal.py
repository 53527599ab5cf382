"""The journal's visits: kept as they were measured, and sent once their session has ended.

A visit counts, and is sent, if its program worked to the end: then the server makes of the visits
just what was made of them here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError

from contract.visits import Layout, Visit
from device_agent.measuring.journal_file import JournalFile, Unreadable

_WAITS = "counts AND sent IS NULL AND refused IS NULL"


@dataclass(frozen=True, slots=True)
class VisitEntry:
    """A visit that waits to be sent, unread: `row` is its place in the file."""

    row: int
    program: str
    bytes: int


@dataclass(frozen=True, slots=True)
class HeldVisits:
    """How many of a session's visits wait to be sent, and how many were refused, with why."""

    session: UUID
    waiting: int
    refused: int
    reason: str | None


class VisitJournal(JournalFile):
    """Each method is one transaction."""

    def add_visit(self, session: UUID, layout: Layout, visit: Visit) -> None:
        """`layout` is the one of the session's earlier visits to the program, if there were."""
        identity, program = str(session), visit.program
        with self._transaction() as cursor:
            cursor.execute(
                "INSERT OR IGNORE INTO layouts VALUES (?, ?, ?)",
                (identity, program, layout.model_dump_json()),
            )
            cursor.execute(
                "INSERT INTO visits (session, round, program, body) VALUES (?, ?, ?, ?)",
                (identity, visit.round, program, visit.model_dump_json()),
            )

    def visited(self, session: UUID) -> frozenset[tuple[int, str]]:
        """(round, program) of every visit so far."""
        rows = self._execute(
            "SELECT round, program FROM visits WHERE session = ?", (str(session),)
        )
        return frozenset((number, program) for number, program in rows)

    def layout(self, session: UUID, program: str) -> Layout | None:
        """Of that program, if it was visited."""
        row = self._execute(
            "SELECT body FROM layouts WHERE session = ? AND program = ?", (str(session), program)
        ).fetchone()
        return Layout.model_validate_json(row[0]) if row else None

    def layouts(self, session: UUID) -> dict[str, Layout]:
        """Those of the programs visited so far, by program.

        Raises:
            Unreadable: one is damaged.
        """
        rows = self._execute(
            "SELECT program, body FROM layouts WHERE session = ? ORDER BY rowid", (str(session),)
        )
        try:
            return {program: Layout.model_validate_json(body) for program, body in rows}
        except ValidationError as error:
            raise _unreadable(error) from error

    def visits(self, session: UUID, programs: Collection[str]) -> list[Visit]:
        """The visits to `programs`, in the order made.

        Visits to other programs are those of an agent whose exporter has changed since.
        """
        rows = self._execute(
            "SELECT program, body FROM visits WHERE session = ? ORDER BY rowid", (str(session),)
        )
        return [Visit.model_validate_json(body) for program, body in rows if program in programs]

    def sessions_with_visits(self, server: str) -> list[UUID]:
        """The sessions whose visits wait to be sent there, those that began first before."""
        rows = self._execute(
            "SELECT id FROM sessions WHERE server = ? AND id IN "
            f"(SELECT session FROM visits WHERE {_WAITS}) ORDER BY rowid",
            (server,),
        )
        return [UUID(identity) for (identity,) in rows]

    def visit_entries(self, session: UUID) -> list[VisitEntry]:
        """What of that session waits, program by program."""
        rows = self._execute(
            "SELECT rowid, program, length(CAST(body AS BLOB)) FROM visits "
            f"WHERE session = ? AND {_WAITS} ORDER BY program, round",
            (str(session),),
        )
        return [VisitEntry(*row) for row in rows]

    def read_visits(self, entries: Sequence[VisitEntry]) -> list[Visit]:
        """
        Raises:
            Unreadable: one is damaged.
        """
        bodies = [
            self._execute("SELECT body FROM visits WHERE rowid = ?", (each.row,)).fetchone()[0]
            for each in entries
        ]
        try:
            return list(map(Visit.model_validate_json, bodies))
        except ValidationError as error:
            raise _unreadable(error) from error

    def mark_visits_sent(self, entries: Sequence[VisitEntry]) -> None:
        """The server has said that these are stored."""
        now = datetime.now(UTC).isoformat()
        with self._transaction() as cursor:
            cursor.executemany(
                "UPDATE visits SET sent = ? WHERE rowid = ?", [(now, each.row) for each in entries]
            )

    def mark_visits_refused(self, entries: Sequence[VisitEntry], reason: str) -> None:
        """Keep visits that the server will never take."""
        with self._transaction() as cursor:
            cursor.executemany(
                "UPDATE visits SET refused = ? WHERE rowid = ?",
                [(reason, each.row) for each in entries],
            )

    def held_visits(self, server: str) -> list[HeldVisits]:
        """Of the sessions whose visits are not all sent, those that began first before."""
        rows = self._execute(
            f"SELECT sessions.id, sum({_WAITS}) AS waiting, count(refused) AS refusals, "
            "max(refused) FROM visits JOIN sessions ON session = sessions.id WHERE server = ? "
            "GROUP BY sessions.id HAVING waiting OR refusals ORDER BY sessions.rowid",
            (server,),
        )
        return [HeldVisits(UUID(identity), *rest) for identity, *rest in rows]


def _unreadable(error: ValidationError) -> Unreadable:
    return Unreadable(f"cannot be read: {error.errors()[0]['msg']}")
