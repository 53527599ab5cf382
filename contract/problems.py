"""Refusals as documents (RFC 9457), and the types by which a program tells them apart."""

from pydantic import ConfigDict

from contract.values import Value

# By these a program tells refusals that may pass from final ones (RFC 9457's `type`).
ANY_PROBLEM = "about:blank"
NO_DEVICE = "urn:phonebook:no-device"  # passes once the device is registered
RENAMED = "urn:phonebook:renamed"  # the device has another name now, in the detail and in `near`
NO_SPACE = "urn:phonebook:no-space"  # passes once the space is posted
NO_TABLE = "urn:phonebook:no-table"  # of that origin, or with that snapshot
NO_SESSION = "urn:phonebook:no-session"  # passes once the session is posted
NOT_YOURS = "urn:phonebook:not-yours"  # it belongs to another token
WRONG_CLOCK = "urn:phonebook:wrong-clock"  # passes once the server's or the agent's clock is set


class Problem(Value):
    """RFC 9457, `application/problem+json`. `detail` says who, what, and what to do next."""

    model_config = ConfigDict(extra="ignore")

    type: str
    title: str
    status: int
    detail: str
    near: tuple[str, ...] = ()
