"""The log of who did what."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session as DbSession

from contract.deeds import Deed
from server.http.access import needs
from server.http.dependencies import reads
from server.store import deeds

router = APIRouter(tags=["fleet"], dependencies=[Depends(needs("reader"))])


@router.get("/deeds")
@reads
def list_deeds(
    session: DbSession,
    subject: Annotated[str | None, Query(max_length=100)] = None,
    before: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> list[Deed]:
    """The newest 100 deeds, newest first: all, or those to one device, session, job and so on.

    `before` is the id of a deed: those that came before it.
    """
    return deeds.deeds(session, subject=subject, before=before)
