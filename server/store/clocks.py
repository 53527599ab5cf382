"""The times that agents tell."""

from datetime import UTC, datetime

from contract.health import CLOCK_TOLERANCE
from contract.problems import WRONG_CLOCK
from server.errors import Unprocessable

CLOCK_START = datetime(2000, 1, 1, tzinfo=UTC)


def check_clock(field: str, moment: datetime, now: datetime) -> None:
    """Refuse what cannot be the time of a measurement.

    A row from the future would be served until that time, and one from 1970 replaces none.

    Raises:
        Unprocessable: the time is before 2000, or more than five minutes ahead of this clock.
    """
    if not CLOCK_START <= moment <= now + CLOCK_TOLERANCE:
        raise Unprocessable(
            f"{field} {moment.isoformat()} is not a time in the past: here it is "
            f"{now.isoformat(timespec='seconds')}; set whichever clock is wrong, the agent's or "
            "the server's, and send it again",
            type=WRONG_CLOCK,
        )
