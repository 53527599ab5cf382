"""What a token allows: a reader reads, an agent posts besides, an admin does everything."""

from typing import Literal

Role = Literal["reader", "agent", "admin"]

_ROLES: tuple[Role, ...] = ("reader", "agent", "admin")


def covers(role: Role, needed: Role) -> bool:
    """Whether whoever has `role` may do what needs the other."""
    return _ROLES.index(role) >= _ROLES.index(needed)
