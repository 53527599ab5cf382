"""Notes: what people write down about a session, for whoever reads its figures later."""

from pydantic import AwareDatetime, Field

from contract.values import Value


class NewNote(Value):
    """What somebody wants to write down."""

    text: str = Field(min_length=1, max_length=2000, pattern=r"\S")


class Note(Value):
    """What somebody has written down. `who` is a token's name, null for the server's computer
    without one."""

    at: AwareDatetime
    who: str | None
    text: str
