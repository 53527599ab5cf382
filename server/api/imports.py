"""Imports: timings of others, parsed by whoever posts them, stored whole or not at all."""

from fastapi import APIRouter, Depends, Response

from contract.imports import Import, ImportReport
from contract.problems import Problem
from server.api.intake import take_in_import
from server.http.access import By, needs
from server.http.dependencies import Now, TheDatabase

router = APIRouter(
    tags=["tables"], dependencies=[Depends(needs("admin"))], responses={404: {"model": Problem}}
)


@router.post(
    "/imports",
    status_code=201,
    responses={200: {"model": ImportReport}, 409: {"model": Problem}},
)
async def add_import(
    new: Import, response: Response, database: TheDatabase, by: By, now: Now
) -> ImportReport:
    """Store imported timings (201); the same ones again change nothing (200)."""
    report = await take_in_import(database, new, by, now)
    response.status_code = 201 if report.is_new else 200
    return report
