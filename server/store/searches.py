"""Searches: registered once, told of as they go on; epochs stored once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as DbSession

from contract.errors import PhonebookError
from contract.networks import network
from contract.searches import (
    Elsewhere,
    FoundFigures,
    FoundNetwork,
    SearchEpoch,
    SearchPlan,
    SearchReport,
    SearchRun,
    SearchState,
    SearchSummary,
)
from contract.spaces import SearchSpace
from server.database.records import SearchEpochRecord, SearchRecord
from server.database.upserts import insert_once
from server.errors import Conflict, NotFound, Unprocessable
from server.roles import Caller
from server.store.clocks import check_clock
from server.store.deeds import note
from server.store.devices import device_to_write, find_device, present_name
from server.store.owners import must_own
from server.store.paging import later_than
from server.store.spaces import known_spaces

MOST_SEARCHES = 200  # in one listing


def tell_search(
    session: DbSession, search_id: UUID, run: SearchRun, by: Caller, now: datetime
) -> tuple[SearchSummary, bool]:
    """Register a search, or store how it stands now; True if it is new.

    What it found, and how that does elsewhere, stays while it is not told anew: a run that goes on
    begins by saying that it runs.

    Raises:
        NotFound: no such device or space.
        Conflict: the id belongs to another search.
        Forbidden: it is another token's.
        Unprocessable: it began before 2000 or in the future, or what it found is no network of
            its space.
    """
    plan = run.plan
    check_clock("plan.started_at", plan.started_at, now)
    _check_network(run, known_spaces(session).find(plan.space))
    plan = plan.evolve(device=device_to_write(session, plan.device).name)
    told: dict[str, object] = {"state": run.state, "reason": run.reason, "heard_at": now}
    if run.elsewhere:
        told["elsewhere"] = [
            each.evolve(device=present_name(session, each.device)).model_dump(mode="json")
            for each in run.elsewhere
        ]
    if run.result is not None:
        found = run.result.model_dump(mode="json")
        of_network = FoundFigures.model_fields
        told["figures"] = {name: found[name] for name in found if name in of_network}
        told["parts"] = {name: found[name] for name in found if name not in of_network}
    created = insert_once(
        session,
        SearchRecord,
        {
            "id": search_id,
            "device": plan.device,
            "runtime": plan.runtime.key,
            "space": plan.space,
            "started_at": plan.started_at,
            "plan": plan.model_dump(mode="json"),
            "elsewhere": [],
            "made_by": by.name,
            **told,
        },
    )
    record = _find(session, search_id, for_update=True)
    must_own(by, record.made_by, f"search {search_id}")
    if _plan(record) != plan:
        raise Conflict(f"search {search_id} is stored with another plan; give this one a new id")
    for name, value in told.items():
        setattr(record, name, value)
    if created:
        note(session, by, "told of the search", search_id, now)
    session.flush()
    return _summary(record, _counts(session, [search_id]).get(search_id, 0)), created


def tell_epoch(
    session: DbSession,
    search_id: UUID,
    number: int,
    epoch: SearchEpoch,
    by: Caller,
    now: datetime,
) -> tuple[SearchEpoch, bool]:
    """Store an epoch of a search; True if it was not stored before.

    Raises:
        NotFound: no such search.
        Conflict: the epoch is stored with other content.
        Forbidden: the search is another token's.
        Unprocessable: it is another epoch than the address says, or of another space.
    """
    if epoch.epoch != number:
        raise Unprocessable(f"the body is of epoch {epoch.epoch}, and the address of {number}")
    record = _find(session, search_id)
    must_own(by, record.made_by, f"search {search_id}")
    _check_theta(epoch, known_spaces(session).find(record.space))
    key = {"search": search_id, "epoch": number}
    content = epoch.model_dump(mode="json")
    created = insert_once(session, SearchEpochRecord, {**key, "content": content})
    stored = session.get_one(SearchEpochRecord, (search_id, number))
    if SearchEpoch.model_validate(stored.content) != epoch:
        raise Conflict(
            f"epoch {number} of search {search_id} is stored with other content; a search that "
            "begins anew takes a new id"
        )
    if created:
        record.heard_at = now
    return epoch, created


def searches(
    session: DbSession,
    *,
    device: str | None = None,
    space: str | None = None,
    state: SearchState | None = None,
    most: int = MOST_SEARCHES,
    before: UUID | None = None,
) -> list[SearchSummary]:
    """The newest searches, at most 200, newest first.

    With `before`, the id of a search: of those that come after it in this order.

    Raises:
        NotFound: no such device, or no such search.
    """
    query = select(SearchRecord).order_by(SearchRecord.started_at.desc(), SearchRecord.id)
    if device is not None:
        find_device(session, device)
        query = query.where(SearchRecord.device == device)
    if space is not None:
        query = query.where(SearchRecord.space == space)
    if state is not None:
        query = query.where(SearchRecord.state == state)
    if before is not None:
        started_at = SearchRecord.started_at
        query = query.where(later_than(session, SearchRecord, started_at, before, "search"))
    records = session.scalars(query.limit(most)).all()
    counts = _counts(session, [record.id for record in records])
    return [_summary(record, counts.get(record.id, 0)) for record in records]


def find_search(session: DbSession, search_id: UUID) -> SearchReport:
    """A search with all its epochs.

    Raises:
        NotFound: no such search.
    """
    record = _find(session, search_id)
    contents = session.scalars(
        select(SearchEpochRecord.content)
        .where(SearchEpochRecord.search == search_id)
        .order_by(SearchEpochRecord.epoch)
    )
    return SearchReport(
        id=record.id,
        run=SearchRun(
            plan=_plan(record),
            state=record.state,
            reason=record.reason,
            result=found_network(record),
            elsewhere=_elsewhere(record),
        ),
        heard_at=record.heard_at,
        epochs=tuple(map(SearchEpoch.model_validate, contents)),
    )


def found_network(record: SearchRecord) -> FoundNetwork | None:
    """What the search found, with its layers."""
    if record.figures is None or record.parts is None:
        return None
    return FoundNetwork.model_validate({**record.figures, **record.parts})


def _find(session: DbSession, search_id: UUID, *, for_update: bool = False) -> SearchRecord:
    record = session.get(SearchRecord, search_id, with_for_update=for_update)
    if record is None:
        raise NotFound(f"no search {search_id}; `GET /searches` lists the newest")
    return record


def _counts(session: DbSession, ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many epochs each of these searches has told; none: left out."""
    found = session.execute(
        select(SearchEpochRecord.search, func.count())
        .where(SearchEpochRecord.search.in_(ids))
        .group_by(SearchEpochRecord.search)
    )
    return {search: count for search, count in found}


def _summary(record: SearchRecord, epochs: int) -> SearchSummary:
    return SearchSummary(
        id=record.id,
        plan=_plan(record),
        state=record.state,
        reason=record.reason,
        heard_at=record.heard_at,
        epochs=epochs,
        result=FoundFigures.model_validate(record.figures) if record.figures else None,
        elsewhere=_elsewhere(record),
    )


def _plan(record: SearchRecord) -> SearchPlan:
    """As it was told, but for the device's name, which may be another since."""
    return SearchPlan.model_validate({**record.plan, "device": record.device})


def _elsewhere(record: SearchRecord) -> tuple[Elsewhere, ...]:
    return tuple(map(Elsewhere.model_validate, record.elsewhere))


def _check_network(run: SearchRun, space: SearchSpace) -> None:
    if run.result is None:
        return
    try:
        found = network(run.result.architecture, space=space, name="found")
    except PhonebookError as error:
        raise Unprocessable(str(error)) from error
    told = [layer.operator for layer in run.result.layers]
    if told != [operator.key for operator in found.layers]:
        raise Unprocessable("result.layers are not those of result.architecture, in its order")


def _check_theta(epoch: SearchEpoch, space: SearchSpace) -> None:
    wanted = [len(choice.candidates) for choice in space.choices]
    if [len(shares) for shares in epoch.theta] != wanted:
        raise Unprocessable(
            f"theta of {space.name} has a probability for each candidate of each of its "
            f"{len(wanted)} slots: {', '.join(map(str, wanted))}"
        )
