"""What a session measured, and a journal that holds it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid5

from contract.sessions import Session
from contract.spaces import space
from contract.timings import Timing
from device_agent.measuring.journal import Journal
from tests.fakes import DESCRIPTION, fake_session

OPERATORS = space("fbnet-32").operators[:8]


def timings_of(
    session: Session, operators: Sequence[int] = range(8), *, samples: int = 2
) -> list[Timing]:
    """About 20 bytes for each sample as JSON."""
    return [
        Timing(
            id=uuid5(session.id, operator.key),
            operator=operator,
            measured_at=datetime.now(UTC),
            rounds_us=((1.000000000000001,) * samples,),
        )
        for operator in (space("fbnet-32").operators[number] for number in operators)
    ]


SESSION = fake_session()
TIMINGS = timings_of(SESSION)


def measured(
    journal: Journal,
    server: str,
    timings: Sequence[Timing] | None = None,
    *,
    session: Session = SESSION,
    known: bool = True,
) -> None:
    """A finished session in the journal. Unless it is `known` nothing tells what the device is."""
    description = DESCRIPTION if known else None
    journal.begin(server, session, OPERATORS, description=description)
    journal.close(session, TIMINGS if timings is None else timings)


def keys(timings: Sequence[Timing]) -> list[str]:
    return sorted(timing.operator.key for timing in timings)
