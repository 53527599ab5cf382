"""Agents: announced, and announced again as their heartbeat; listed."""

from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session as DbSession

from contract.jobs import AgentDescription, AgentReport
from contract.problems import Problem
from server.http.access import By, needs
from server.http.dependencies import Now, reads, writes
from server.store import agents

router = APIRouter(tags=["fleet"], dependencies=[Depends(needs("reader"))])


@router.put(
    "/agents/{agent}",
    status_code=201,
    dependencies=[Depends(needs("agent"))],
    responses={200: {"model": AgentReport}, 409: {"model": Problem}},
)
@writes
def announce(
    agent: UUID,
    description: AgentDescription,
    response: Response,
    session: DbSession,
    by: By,
    now: Now,
) -> AgentReport:
    """Register an agent with its units (201), or refresh it (200)."""
    stored, created = agents.announce(session, agent, description, by, now)
    response.status_code = 201 if created else 200
    return stored


@router.get("/agents")
@reads
def list_agents(session: DbSession) -> list[AgentReport]:
    """The 500 agents that were heard of last, with their units and when that was, by host."""
    return agents.agents(session)
