"""What a server tells anybody who asks whether it lives, and whether its clock is this one's."""

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, ConfigDict

from contract.errors import ClocksDiffer
from contract.values import Value

CLOCK_TOLERANCE = timedelta(minutes=5)  # the server takes no time that is further in its future


class Health(Value):
    """`now` is the server's clock; None is of a version that does not tell it."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["ok"]
    now: AwareDatetime | None = None


def check_clocks(health: Health, *, server: str, here: datetime) -> None:
    """
    Raises:
        ClocksDiffer: by more than five minutes; the message says both times.
    """
    if health.now is None or abs(here - health.now) <= CLOCK_TOLERANCE:
        return
    raise ClocksDiffer(
        f"here it is {_utc(here)}, and by {server} {_utc(health.now)}: what is measured would "
        f"have {'no time that the server takes' if here > health.now else 'a time long past'}; "
        "set whichever clock is wrong, this computer's or the server's"
    )


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
