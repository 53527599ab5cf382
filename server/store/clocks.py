"""The times that agents tell."""

from datetime import UTC, datetime, timedelta

from server.errors import Unprocessable

CLOCK_TOLERANCE = timedelta(days=1)
CLOCK_START = datetime(2000, 1, 1, tzinfo=UTC)


def check_clock(field: str, moment: datetime) -> None:
    """Refuse what cannot be the time of a measurement.

    A row from the future could never be replaced, and one from 1970 never replaces any.

    Raises:
        Unprocessable: the time is before 2000 or in the future.
    """
    if not CLOCK_START <= moment <= datetime.now(UTC) + CLOCK_TOLERANCE:
        raise Unprocessable(
            f"{field} {moment.isoformat()} is not a time in the past; set the agent's clock"
        )
