"""The networks that tell at which level a device is: those of the session that a table rests on.

The session timed them whole. Visited again beside something else, they say how much slower the
device is now, so that both stand at the table's level (`contract.levels`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from contract.client import TableClient
from contract.levels import Reference
from contract.networks import Network
from contract.runtime import Runtime
from contract.tables import LatencyTable
from device_agent.device import ProgramFile
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.measuring.protocols.protocol import EFFORTS, PlannedProgram, whole
from device_agent.programs.cache import Exporter, ProgramCache
from device_agent.supervisor import Supervisor

MOST_BESIDE = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What to visit beside: `then` is what the session measured of them."""

    session: UUID
    then: tuple[Reference, ...]
    planned: Mapping[ProgramFile, PlannedProgram]


def references_of(
    client: TableClient, table: LatencyTable
) -> tuple[UUID, tuple[Reference, ...]] | None:
    """The session that most of the table's rows come from, and the networks that it timed whole.

    None where the table has no row, or the session no such network: it was made by another
    protocol, or by an agent of before.
    """
    session = table.main_session
    if session is None:
        return None
    derivation = client.session_report(str(session)).session.derivation
    if derivation is None or not derivation.references:
        return None
    return session, derivation.references


def beside(
    network: Network,
    runtime: Runtime,
    session: UUID,
    then: Sequence[Reference],
    *,
    cache: ProgramCache,
    exporter: Exporter,
    supervisor: Supervisor | None = None,
) -> Beside:
    """Of the references the few that have most operators in common with the network, exported.

    One that cannot be exported as it was then is left out.

    Raises:
        Halted: the supervisor ended it.
    """
    by_program = {each.program: each for each in then}
    designs = [
        planned
        for design in design_networks(network.space, EFFORTS["thorough"].designs)
        if cache.file((planned := whole(design, runtime)).program).name in by_program
    ]
    own = set(network.operators)

    def apart(planned: PlannedProgram) -> int:
        content = planned.program.content
        assert isinstance(content, Network)
        return -len(own & set(content.operators))

    nearest = {each.program: each for each in sorted(designs, key=apart)[:MOST_BESIDE]}
    exported = {
        done.file: nearest[done.program]
        for done in cache.export(list(nearest), exporter, supervisor)
        if done.file is not None
    }
    return Beside(
        session=session,
        then=tuple(by_program[file.name] for file in exported),
        planned=exported,
    )
