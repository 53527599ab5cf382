"""Searches: told of by whoever runs them, epoch by epoch; listed and read."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Response
from sqlalchemy.orm import Session as DbSession

from contract.problems import Problem
from contract.searches import (
    MOST_EPOCHS,
    SearchEpoch,
    SearchReport,
    SearchRun,
    SearchState,
    SearchSummary,
)
from server.http.access import By, needs
from server.http.dependencies import Now, reads, writes
from server.store import searches
from server.store.spaces import known_spaces

router = APIRouter(
    tags=["searches"],
    responses={404: {"model": Problem}},
    dependencies=[Depends(needs("reader"))],
)
AGENT = [Depends(needs("agent"))]


@router.put(
    "/searches/{search_id}",
    status_code=201,
    dependencies=AGENT,
    responses={200: {"model": SearchSummary}, 409: {"model": Problem}},
)
@writes
def tell_search(
    search_id: UUID,
    run: SearchRun,
    response: Response,
    session: DbSession,
    by: By,
    now: Now,
) -> SearchSummary:
    """Register a search (201), or tell how it stands now (200). Its plan never changes."""
    stored, created = searches.tell_search(session, search_id, run, by, now)
    response.status_code = 201 if created else 200
    return stored


@router.put(
    "/searches/{search_id}/epochs/{number}",
    status_code=201,
    dependencies=AGENT,
    responses={200: {"model": SearchEpoch}, 409: {"model": Problem}},
)
@writes
def tell_epoch(
    search_id: UUID,
    number: Annotated[int, Path(ge=1, le=MOST_EPOCHS)],
    epoch: SearchEpoch,
    response: Response,
    session: DbSession,
    by: By,
    now: Now,
) -> SearchEpoch:
    """Store an epoch (201); the same one again changes nothing (200)."""
    stored, created = searches.tell_epoch(session, search_id, number, epoch, by, now)
    response.status_code = 201 if created else 200
    return stored


@router.get("/searches")
@reads
def list_searches(
    session: DbSession,
    device: str | None = None,
    space: str | None = None,
    state: SearchState | None = None,
    before: UUID | None = None,
) -> list[SearchSummary]:
    """The newest 200 searches, newest first: all, or those for a device, in a space or state.

    `before` is the id of the last one of a page: the next page begins after it.
    """
    name = None if space is None else known_spaces(session).find(space).name
    return searches.searches(session, device=device, space=name, state=state, before=before)


@router.get("/searches/{search_id}")
@reads
def search(search_id: UUID, session: DbSession) -> SearchReport:
    """A search with all its epochs, and what it found."""
    return searches.find_search(session, search_id)
