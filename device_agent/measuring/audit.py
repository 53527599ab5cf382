"""Auditing: a device's table held against whole networks, in one session with the operators."""

import random
from collections.abc import Mapping
from contextlib import suppress
from uuid import uuid5

from contract.audits import Audit, AuditedNetwork
from contract.derivation import Derived
from contract.errors import DeviceFailed, PhonebookError
from contract.levels import AtLevel, Level
from contract.networks import NETWORK_NAMES, Network, network, published
from contract.sessions import Session
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from device_agent.measuring.protocols.protocol import whole
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.references import references_of
from device_agent.measuring.station import Station


def networks_to_audit(space: SearchSpace, count: int, seed: int) -> tuple[Network, ...]:
    """`count` networks drawn uniformly from the space, with its first head, and those published
    ones that can be put in it."""
    generator = random.Random(f"audit of {space.name}:{seed}")
    drawn = [
        network(
            [generator.choice(each.candidates).block.name for each in space.choices],
            space=space,
            name=f"{space.name}-audit{seed}-{number + 1}",
        )
        for number in range(count)
    ]
    known = []
    for name in NETWORK_NAMES:
        with suppress(PhonebookError):  # other slots, or other candidates
            known.append(published(name, in_space=space))
    return (*drawn, *known)


def audit(station: Station, space: SearchSpace, *, networks: int, seed: int) -> Audit:
    """Measure the networks whole, in one shuffled session with the operators.

    Goes on with an unfinished audit of the same networks. The audit is left in the outbox;
    `station.send` posts it.

    Raises:
        IncompleteTable: rows are missing; the message names the command that measures them.
        ServerUnreachable: at the start; visits of an unfinished audit are kept.
        DeviceFailed: the device is gone or too busy, and visits so far are kept; or a program
            failed, and the next run begins anew.
        Halted: the station's supervisor ended the work; visits so far are kept.
    """
    runtime = station.device.runtime
    chosen = networks_to_audit(space, networks, seed)
    station.introduce(space)
    table = station.client.table(station.name, runtime=runtime, space=space.name)
    table.latencies_us(space.operators)
    references = references_of(station.client, table)
    purpose = f"audit of {networks} networks, seed {seed}"
    opened = station.unfinished(space, purpose)
    if opened is None:
        opened = station.begin(space, space.operators, purpose)
    else:
        station.say_resuming(opened, "audit")
    operators = PROTOCOLS[runtime.protocol].plan(
        space.operators, space=space, runtime=runtime, effort=opened.session.effort
    )
    wholes = [whole(each, runtime) for each in chosen]
    planned = [*operators, *wholes]
    usual = references.calm if references else None
    sitting = station.measure(opened, planned, usual=usual)
    derived, failures = sitting.derived(), sitting.failures()
    ended = sitting.end(derived)
    if failures:
        sitting.close_with([], ended)
        program, (failure, _) = next(iter(failures.items()))
        raise DeviceFailed(
            f"{len(failures)} of {len(planned)} programs failed, so there is nothing to compare; "
            f"{program}: {failure.code}: {failure.message}"
        )
    assert derived is not None, "every program was visited"
    programs = [station.cache.file(each.program).name for each in wholes]
    found = references.level(derived) if references else None
    done = _audit(ended, table, dict(zip(programs, chosen, strict=True)), derived, found, seed)
    sitting.close_with([done], ended)
    return done


def _audit(
    session: Session,
    table: LatencyTable,
    chosen: Mapping[str, Network],
    derived: Derived,
    found: Level | None,
    seed: int,
) -> Audit:
    """`chosen` has the networks by their programs."""
    fresh_us = {key: each.estimate().latency_us for key, each in derived.operators.items()}
    measured = {program: derived.networks[program].estimate() for program in chosen}
    assert session.ended_at is not None
    assert session.conditions_after is not None
    return Audit(
        id=uuid5(session.id, "audit"),
        device=session.device,
        runtime=session.runtime,
        space=session.space,
        origin=session.origin,
        snapshot=table.snapshot,
        seed=seed,
        started_at=session.started_at,
        ended_at=session.ended_at,
        agent_version=session.agent_version,
        conditions=session.conditions,
        conditions_after=session.conditions_after,
        level=found,
        networks=tuple(
            AuditedNetwork(
                name=each.name,
                blocks=each.blocks,
                predicted_us=sum(table.latencies_us(each.operators)),
                fresh_us=latency_of(each, fresh_us),
                measured=measured[program],
                at_level_us=found and AtLevel.of(measured[program], found).latency_us,
            )
            for program, each in chosen.items()
        ),
    )


def latency_of(network: Network, latency_us: Mapping[str, float]) -> float:
    """The sum over the network's operators, in us; a skip that is free adds nothing."""
    return sum(latency_us[op.key] for op in network.operators if not op.is_free)
