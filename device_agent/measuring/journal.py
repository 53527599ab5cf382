"""The journal: what was measured, kept on disk before it is sent, so that nothing is measured
twice and nothing is lost when the agent, the server or the network goes away.

A power cut of this computer may cost the last visits of an unfinished session, which are then
made again, and nothing else. A session's results are on the disk before the first of them is sent;
one counts as sent once the server has said that it is stored, which it says after its own disk has
it. Where that mark itself is lost the result is sent again, and stored once all the same. What was
sent is kept, for a server that is restored from an older backup.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError

from contract.audits import Audit
from contract.devices import DeviceDescription
from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Session
from contract.spaces import SearchSpace
from contract.timings import Failure, Timing
from device_agent.measuring.journal_file import Unreadable
from device_agent.measuring.visit_journal import VisitJournal

TABLE = "table"  # a session's purpose: rows of the device's table

_KINDS: Mapping[str, type[Timing] | type[Audit]] = {"Timing": Timing, "Audit": Audit}
_WAITS = "sent IS NULL AND refused IS NULL"


@dataclass(frozen=True, slots=True)
class Entry:
    """A result in the outbox, unread: those of one session may fill the memory."""

    id: UUID
    kind: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """How many results of a session the outbox holds: waiting, refused for good, and sent."""

    session: UUID
    device: str
    space: str
    waiting: int
    refused: int
    sent: int


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that was begun and not finished, with the operators it set out to measure."""

    session: Session
    operators: tuple[Operator, ...]


class Journal(VisitJournal):
    """Each method is one transaction.

    Every method raises PhonebookError where the file cannot be read or written.
    """

    def begin(
        self,
        server: str,
        session: Session,
        operators: Sequence[Operator],
        *,
        purpose: str = TABLE,
        description: DeviceDescription | None = None,
        space: SearchSpace | None = None,
    ) -> OpenSession:
        """A new session. `description` and `space` are for a server that does not know them."""
        bodies = json.dumps([operator.model_dump(mode="json") for operator in operators])
        row = (
            str(session.id),
            server,
            session.device,
            session.runtime.key,
            session.space,
            purpose,
        )
        self._execute(
            "INSERT INTO sessions (id, server, device, runtime, space, purpose, body, operators, "
            "description, space_document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *row,
                session.model_dump_json(),
                bodies,
                description.model_dump_json() if description else None,
                space.model_dump_json() if space else None,
            ),
        )
        return OpenSession(session, tuple(operators))

    def space_of(self, session: UUID) -> SearchSpace | None:
        """The space that was kept with the session for a server that does not know it."""
        row = self._execute(
            "SELECT space_document FROM sessions WHERE id = ?", (str(session),)
        ).fetchone()
        return SearchSpace.model_validate_json(row[0]) if row and row[0] else None

    def open_session(
        self,
        server: str,
        device: str,
        runtime: Runtime,
        space: str,
        *,
        purpose: str = TABLE,
        unit: str | None = None,
    ) -> OpenSession | None:
        """The unfinished session of exactly this work, if there is one.

        With `unit` only one of that unit: a session is one phone's, and others of its kind differ.
        """
        rows = self._execute(
            "SELECT body, operators FROM sessions WHERE server = ? AND device = ? "
            "AND runtime = ? AND space = ? AND purpose = ? AND is_open",
            (server, device, runtime.key, space, purpose),
        ).fetchall()
        for body, bodies in rows:
            session = Session.model_validate_json(body)
            if unit is None or session.unit in (None, unit):
                operators = tuple(Operator.model_validate(each) for each in json.loads(bodies))
                return OpenSession(session, operators)
        return None

    def began_corrected(self, session: UUID) -> bool:
        """Whether a version made visits in it that kept them corrected: then none may be added."""
        return bool(
            self._execute(
                "SELECT 1 FROM corrected_visits WHERE session = ? LIMIT 1", (str(session),)
            ).fetchone()
        )

    def give_up(self, session: UUID) -> None:
        """End a session without results."""
        self._execute("UPDATE sessions SET is_open = 0 WHERE id = ?", (str(session),))

    def add_failure(self, session: UUID, program: str, failure: Failure) -> None:
        self._execute(
            "INSERT OR IGNORE INTO failures VALUES (?, ?, ?, ?)",
            (str(session), program, failure.model_dump_json(), _now()),
        )

    def failures(self, session: UUID) -> dict[str, tuple[Failure, datetime]]:
        """The session's failures by program, with the time of each."""
        rows = self._execute(
            "SELECT program, body, made FROM failures WHERE session = ?", (str(session),)
        )
        return {
            program: (Failure.model_validate_json(body), datetime.fromisoformat(made))
            for program, body, made in rows
        }

    def close(
        self,
        session: Session,
        results: Sequence[Timing | Audit],
        programs: Collection[str] = (),
    ) -> None:
        """Finish a session as it ended: its results and its visits to `programs` go to the outbox,
        all or none.

        They are on the disk when this returns. Were the session open again after some were sent,
        it would end otherwise, and the server would refuse the rest.
        """
        identity = str(session.id)
        with self._transaction(on_disk=True) as cursor:
            cursor.executemany(
                "INSERT INTO outbox (id, session, kind, body) VALUES (?, ?, ?, ?)",
                [
                    (str(each.id), identity, type(each).__name__, each.model_dump_json())
                    for each in results
                ],
            )
            cursor.executemany(
                "UPDATE visits SET counts = 1 WHERE session = ? AND program = ?",
                [(identity, program) for program in programs],
            )
            cursor.execute(
                "UPDATE sessions SET is_open = 0, body = ? WHERE id = ?",
                (session.model_dump_json(), identity),
            )

    def waiting(self, server: str) -> int:
        """How many results wait to be sent to that server."""
        (count,) = self._execute(
            "SELECT count(*) FROM outbox JOIN sessions ON session = sessions.id "
            f"WHERE server = ? AND {_WAITS}",
            (server,),
        ).fetchone()
        return int(count)

    def waiting_sessions(self, server: str) -> list[UUID]:
        """The sessions whose results wait, those that began first before the others."""
        rows = self._execute(
            "SELECT id FROM sessions WHERE server = ? AND id IN "
            f"(SELECT session FROM outbox WHERE {_WAITS}) ORDER BY rowid",
            (server,),
        )
        return [UUID(identity) for (identity,) in rows]

    def entries(self, session: UUID) -> list[Entry]:
        """What of that session waits, in the order it was put there."""
        rows = self._execute(
            "SELECT id, kind, length(CAST(body AS BLOB)) FROM outbox "
            f"WHERE session = ? AND {_WAITS} ORDER BY rowid",
            (str(session),),
        )
        return [Entry(UUID(identity), kind, size) for identity, kind, size in rows]

    def result(self, entry: Entry) -> Timing | Audit:
        """
        Raises:
            Unreadable: it is damaged.
        """
        (body,) = self._execute(
            "SELECT body FROM outbox WHERE id = ?", (str(entry.id),)
        ).fetchone()
        try:
            return _KINDS[entry.kind].model_validate_json(body)
        except (KeyError, ValidationError) as error:
            raise Unreadable(f"cannot be read: {_first(error)}") from error

    def session(self, session: UUID) -> Session:
        """The session as it began, or as it ended.

        Raises:
            Unreadable: it is damaged.
        """
        (body,) = self._execute(
            "SELECT body FROM sessions WHERE id = ?", (str(session),)
        ).fetchone()
        try:
            return Session.model_validate_json(body)
        except ValidationError as error:
            raise Unreadable(f"its session cannot be read: {_first(error)}") from error

    def description(self, server: str, device: str) -> DeviceDescription | None:
        """What the device was when a session last began on it, if the journal tells."""
        row = self._execute(
            "SELECT description FROM sessions WHERE server = ? AND device = ? "
            "AND description IS NOT NULL ORDER BY rowid DESC LIMIT 1",
            (server, device),
        ).fetchone()
        try:
            return DeviceDescription.model_validate_json(row[0]) if row else None
        except ValidationError:
            return None

    def mark_sent(self, results: Iterable[UUID]) -> None:
        """The server has said that these are stored."""
        now = _now()
        with self._transaction() as cursor:
            cursor.executemany(
                "UPDATE outbox SET sent = ?, refused = NULL WHERE id = ?",
                [(now, str(identity)) for identity in results],
            )

    def mark_refused(self, reasons: Mapping[UUID, str]) -> None:
        """Keep results that the server will never take, each with its reason."""
        with self._transaction() as cursor:
            cursor.executemany(
                "UPDATE outbox SET refused = ? WHERE id = ?",
                [(reason, str(identity)) for identity, reason in reasons.items()],
            )

    def put_back(self, server: str, session: UUID | None = None) -> None:
        """Let everything wait again that was sent to that server or refused by it, or what one
        session measured."""
        with self._transaction() as cursor:
            for table in ("outbox", "visits"):
                cursor.execute(
                    f"UPDATE {table} SET sent = NULL, refused = NULL WHERE session IN "
                    "(SELECT id FROM sessions WHERE server = ? AND id = coalesce(?, id))",
                    (server, session and str(session)),
                )

    def held(self, server: str) -> list[Held]:
        """What the outbox holds for that server, by session, those that began first before."""
        rows = self._execute(
            "SELECT sessions.id, device, space, "
            f"sum({_WAITS}), sum(refused IS NOT NULL), sum(sent IS NOT NULL) "
            "FROM outbox JOIN sessions ON session = sessions.id WHERE server = ? "
            "GROUP BY sessions.id ORDER BY sessions.rowid",
            (server,),
        )
        return [Held(UUID(identity), *rest) for identity, *rest in rows]

    def reasons(self, server: str) -> list[tuple[UUID, str, int]]:
        """Why results of a session were refused for good, and how many for that reason."""
        rows = self._execute(
            "SELECT session, refused, count(*) FROM outbox JOIN sessions "
            "ON session = sessions.id WHERE server = ? AND refused IS NOT NULL "
            "GROUP BY sessions.rowid, refused ORDER BY sessions.rowid",
            (server,),
        )
        return [(UUID(session), reason, count) for session, reason, count in rows]

    def servers(self) -> dict[str, int]:
        """For how many results each server is waited for."""
        rows = self._execute(
            "SELECT server, count(*) FROM outbox JOIN sessions ON session = sessions.id "
            f"WHERE {_WAITS} GROUP BY server ORDER BY server"
        )
        return dict(rows.fetchall())

    def server_of(self, session: UUID) -> str | None:
        """Which server a session is for; None where the journal has no such session."""
        row = self._execute("SELECT server FROM sessions WHERE id = ?", (str(session),)).fetchone()
        return str(row[0]) if row else None


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _first(error: Exception) -> str:
    """What is wrong with a body, in a few words and without the body."""
    if not isinstance(error, ValidationError):
        return f"no kind {error}"
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"
