"""What a token allows: a reader reads, an agent posts besides, an admin does everything."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["reader", "agent", "admin"]

_ROLES: tuple[Role, ...] = ("reader", "agent", "admin")


def covers(role: Role, needed: Role) -> bool:
    """Whether whoever has `role` may do what needs the other."""
    return _ROLES.index(role) >= _ROLES.index(needed)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `name` is the token's, None without one; `role` None may do nothing."""

    name: str | None
    role: Role | None

    def may_change(self, made_by: str | None) -> bool:
        """Whether that is theirs: what their token made, or what nobody's did. Admins own all."""
        return self.role == "admin" or made_by in (None, self.name)


NOBODY = Caller(None, None)
