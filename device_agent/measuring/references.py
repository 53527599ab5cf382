"""The networks that tell at which level a device is: those of the session that a table rests on.

The session timed them whole. Visited again beside something else, they say how much slower the
device is now, so that both stand at the table's level (`contract.levels`). Where rows rest on
several sessions they lie a little above or below those of the session alone, and so do its
references.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from uuid import UUID

from contract.client import TableClient
from contract.derivation import Calm, Derived
from contract.errors import RequestRefused
from contract.estimates import Estimate
from contract.levels import LEAST_REFERENCES, AtLevel, Level, Reference, level
from contract.networks import Network
from contract.runtime import Runtime
from contract.tables import LatencyTable, SessionReport
from device_agent.device import ProgramFile
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.measuring.protocols.protocol import EFFORTS, PlannedProgram, whole
from device_agent.programs.cache import Exporter, ProgramCache
from device_agent.supervisor import Supervisor

MOST_BESIDE = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """What a session timed whole, by program, and the calm device it was brought to, if any."""

    session: UUID
    then: tuple[Reference, ...]
    calm: Calm | None

    def level(self, derived: Derived) -> Level | None:
        """The device's level in the session that this came of, against theirs."""
        now = [
            Reference.of(program, rounds.estimate())
            for program, rounds in derived.networks.items()
        ]
        return level(self.session, self.then, now)

    def at_level(self, measured: Estimate, derived: Derived) -> AtLevel | None:
        """The latency that was measured beside, at the level of their session."""
        found = self.level(derived)
        return None if found is None else AtLevel.of(measured, found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """Programs of references, to be visited beside a network that is held against their table."""

    references: References
    programs: Mapping[ProgramFile, PlannedProgram]


def references_of(client: TableClient, table: LatencyTable) -> References | None:
    """What was timed whole in the session that most of the table's rows come from.

    None where the table has no row, or the session no such network: it was made by another
    protocol, or by an agent of before.
    """
    session = table.main_session
    if session is None:
        return None
    report = client.session_report(str(session))
    derivation = report.session.derivation
    if derivation is None or not derivation.references:
        return None
    above = _table_above_session(table, report)
    return References(
        session=session,
        then=tuple(each.multiplied(above) for each in derivation.references),
        calm=derivation.told_against,
    )


def beside(
    network: Network,
    runtime: Runtime,
    *,
    device: str,
    client: TableClient,
    cache: ProgramCache,
    exporter: Exporter,
    supervisor: Supervisor | None = None,
) -> Beside | None:
    """The few references of the device's table that have most operators in common with the
    network, exported.

    None where the table has too few that can be made as they were then.

    Raises:
        ServerUnreachable: it does not answer.
        Halted: the supervisor ended it.
    """
    try:
        table = client.table(device, runtime=runtime, space=network.space.name)
        references = references_of(client, table)
    except RequestRefused as refusal:
        if refusal.status == HTTPStatus.NOT_FOUND:
            return None
        raise
    if references is None:
        return None
    known = {each.program for each in references.then}
    designs = [
        planned
        for design in design_networks(network.space, EFFORTS["thorough"].designs)
        if cache.file((planned := whole(design, runtime)).program).name in known
    ]
    nearest = {each.program: each for each in _most_alike(designs, network)}
    programs = {
        done.file: nearest[done.program]
        for done in cache.export(list(nearest), exporter, supervisor)
        if done.file is not None
    }
    if len(programs) < LEAST_REFERENCES:
        return None
    return Beside(references=references, programs=programs)


def _table_above_session(table: LatencyTable, report: SessionReport) -> float:
    """How many times longer operators take by the table than by the session alone: the median."""
    own_us = {each.operator: each.estimate.latency_us for each in report.timings if each.estimate}
    return median(
        row.latency_us / own_us[row.operator] for row in table.entries if own_us.get(row.operator)
    )


def _most_alike(designs: Sequence[PlannedProgram], network: Network) -> list[PlannedProgram]:
    own = set(network.operators)

    def in_common(planned: PlannedProgram) -> int:
        content = planned.program.content
        assert isinstance(content, Network)
        return len(own & set(content.operators))

    return sorted(designs, key=in_common, reverse=True)[:MOST_BESIDE]
