"""Spaces: told by whoever measures or searches in one of their own; listed and read."""

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session as DbSession

from contract.problems import Problem
from contract.spaces import SearchSpace, SpaceName, SpaceSummary
from server.errors import Unprocessable
from server.http.access import By, needs
from server.http.dependencies import Now, reads, writes
from server.store import spaces
from server.store.snapshots import name_tables_of_space

router = APIRouter(tags=["spaces"], dependencies=[Depends(needs("reader"))])


@router.put(
    "/spaces/{name}",
    status_code=201,
    responses={200: {"model": SpaceSummary}, 409: {"model": Problem}},
    dependencies=[Depends(needs("agent"))],
)
@writes
def learn(
    name: SpaceName,
    space: SearchSpace,
    response: Response,
    session: DbSession,
    by: By,
    now: Now,
) -> SpaceSummary:
    """Know a space (201). The same content again changes nothing (200)."""
    if space.name != name:
        raise Unprocessable(f"the space is named {space.name}, and the address {name}")
    learned, created = spaces.learn(session, space, by, now)
    if created:
        name_tables_of_space(session, name, now)
    response.status_code = 201 if created else 200
    return learned


@router.get("/spaces")
@reads
def list_spaces(session: DbSession) -> list[SpaceSummary]:
    """Every space that the server knows, those that ship with it first."""
    return spaces.summaries(session)


@router.get("/spaces/{name}", responses={404: {"model": Problem}})
@reads
def read_space(name: str, session: DbSession) -> SearchSpace:
    """A space as its document: stages, candidates, stem and heads."""
    return spaces.known_spaces(session).find(name)
