"""A campaign's file: each session with all it measured, as xz-compressed lines of JSON."""

import lzma
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from contract.audits import Audit
from contract.errors import PhonebookError
from contract.sessions import Session
from contract.values import Value
from contract.visits import SessionVisits


class CampaignSession(Value):
    """An audit's session: operators inside designed networks, and drawn networks whole.

    Attributes:
        neighbour: what the campaign had run beside it.
        load_1min: of the computer, before it.
    """

    session: Session
    audit: Audit
    neighbour: str
    load_1min: float
    visits: SessionVisits


def append(path: Path, session: CampaignSession) -> None:
    """A file of whole sessions, whatever ends the campaign: each is a stream of its own."""
    with lzma.open(path, "ab", preset=9) as file:
        file.write(session.model_dump_json().encode() + b"\n")


def read(path: Path) -> Iterator[CampaignSession]:
    """The sessions in the order they were measured.

    Raises:
        PhonebookError: the file is not there, or is no campaign's.
    """
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield CampaignSession.model_validate_json(line)
    except (OSError, lzma.LZMAError, ValidationError) as error:
        raise PhonebookError(f"{path} is no campaign: {error}") from error
