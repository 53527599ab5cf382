"""For whoever watches the server: is it alive, can it answer."""

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from contract.timings import Problem
from server.access import needs
from server.errors import NotReady
from server.metrics import Metrics
from server.schema import UPGRADE_COMMAND, is_at_head

router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": Problem}})
def ready(request: Request) -> dict[str, str]:
    """The database answers too, and has the schema that this version needs."""
    if not is_at_head(request.app.state.engine):
        raise NotReady(
            f"the database has another schema than this server; run `{UPGRADE_COMMAND}`"
        )
    return {"status": "ok"}


@router.get(
    "/metrics",
    dependencies=[Depends(needs("reader"))],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
def figures(request: Request) -> Response:
    """Requests, how long they took, and what is stored, as Prometheus reads it."""
    metrics: Metrics = request.app.state.metrics
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
