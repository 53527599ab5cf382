"""For whoever watches the server: is it alive, can it answer."""

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from contract import commands
from contract.health import Health
from contract.problems import Problem
from server.database.engine import has_room, takes_writes
from server.database.schema import is_at_head
from server.errors import NotReady
from server.http.access import needs
from server.http.dependencies import Now, TheDatabase
from server.http.metrics import Metrics

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def alive(now: Now) -> Health:
    """The process answers, and tells its clock."""
    return Health(status="ok", now=now)


@router.get("/readyz", responses={503: {"model": Problem}})
async def ready(database: TheDatabase) -> dict[str, str]:
    """The database answers too, takes writes, has room for them, and is at the newest schema."""
    if not await database.glance(is_at_head):
        raise NotReady(
            f"the database has another schema than this server; run `{commands.upgrade_schema()}`"
        )
    if not await database.glance(takes_writes):
        raise NotReady("the database can only be read now")
    if not await database.glance(has_room):
        raise NotReady("the disk of the database is full; make room there")
    return {"status": "ok"}


@router.get(
    "/metrics",
    dependencies=[Depends(needs("reader"))],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
async def figures(request: Request, database: TheDatabase) -> Response:
    """Requests, how long they took, and what is stored, as Prometheus reads it."""
    metrics: Metrics = request.app.state.metrics
    told = await database.compute(generate_latest, metrics.registry)
    return Response(told, media_type=CONTENT_TYPE_LATEST)
