"""What a token made is its own: others with the role agent may read it, and not change it."""

from contract.problems import NOT_YOURS
from server.errors import Forbidden
from server.roles import Caller


def must_own(by: Caller, made_by: str | None, what: str) -> None:
    """Refuse to change what another token made.

    Raises:
        Forbidden: it is another's, and `by` is no admin.
    """
    if not by.may_change(made_by):
        raise Forbidden(
            f"{what} belongs to the token {made_by}, and {by.name or 'a request without one'} may "
            "not change it; send that token or an admin's",
            type=NOT_YOURS,
        )
