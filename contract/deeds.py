"""Who did what on a server: one line for whatever was made, and for what admins did to it."""

from typing import Literal

from pydantic import AwareDatetime, Field

from contract.values import Value

What = Literal[
    "registered the device",
    "chose the default runtime",
    "renamed the device",
    "retired the device",
    "brought back the device",
    "retired the unit",
    "brought back the unit",
    "told of the space",
    "announced the agent",
    "posted the session",
    "withdrew the session",
    "brought back the session",
    "annotated the session",
    "imported the session",
    "estimated the session again",
    "posted the audit",
    "filed the job",
    "cancelled the job",
    "retried the job",
    "told of the search",
    "made the token",
    "revoked the token",
]


class Reason(Value):
    """Why somebody does what others will wonder about."""

    reason: str = Field(min_length=1, max_length=1000)


class Deed(Value):
    """One line of the log. `who` is a token's name, null for the server's computer without one.

    `subject` is the name or id of what it was done to, `detail` the reason where one was given.
    """

    id: int
    at: AwareDatetime
    who: str | None
    what: What
    subject: str
    detail: str | None
