"""`python -m device_agent.audit --device host`: whole networks against the sum of their rows."""

import random
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import uuid5

from cyclopts import Parameter, validators

from contract.audits import (
    LEAST_NETWORKS,
    MOST_NETWORKS,
    Audit,
    AuditedNetwork,
    AuditSummary,
    summary,
)
from contract.cli import command_line, main
from contract.errors import DeviceFailed
from contract.networks import NETWORK_NAMES, Network, network, published
from contract.sessions import Session
from contract.spaces import DEFAULT_SPACE, SearchSpace
from contract.spaces import space as space_named
from contract.tables import LatencyTable
from device_agent import screen
from device_agent.in_situ import latency_of
from device_agent.protocols import PROTOCOLS, whole
from device_agent.session import ended, found
from device_agent.visits import Rounds
from device_agent.workplace import Options, Workplace, open_workplace

app = command_line(
    "python -m device_agent.audit", "Check a device's table against whole networks."
)


@app.default
def run(
    *,
    options: Options,
    space: Annotated[str, Parameter(help="Which search space.")] = DEFAULT_SPACE,
    networks: Annotated[
        int,
        Parameter(
            help="How many random networks, besides the published ones.",
            validator=validators.Number(
                gte=LEAST_NETWORKS, lte=MOST_NETWORKS - len(NETWORK_NAMES)
            ),
        ),
    ] = 50,
    seed: Annotated[
        int,
        Parameter(help="Of the random networks.", validator=validators.Number(gte=0, lt=2**31)),
    ] = 0,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print the audit as JSON on stdout.")
    ] = False,
) -> None:
    """Measure random and published networks whole, among the operators, and post the errors."""
    with open_workplace(options) as place:
        done = audit(place, space_named(space), networks=networks, seed=seed)
        if as_json:
            sys.stdout.write(done.model_dump_json() + "\n")
        show(summary(done), device=place.name)
        place.send(must_store=[done.id])


def audited(space: SearchSpace, count: int, seed: int) -> tuple[Network, ...]:
    """`count` networks drawn uniformly from the space, with its first head, and the published ones
    put in it."""
    generator = random.Random(f"audit of {space.name}:{seed}")
    drawn = [
        network(
            [generator.choice(each.candidates).block.name for each in space.choices],
            space=space,
            name=f"{space.name}-audit{seed}-{number + 1}",
        )
        for number in range(count)
    ]
    known = [published(name, in_space=space) for name in NETWORK_NAMES]
    return (*drawn, *known)


def audit(place: Workplace, space: SearchSpace, *, networks: int, seed: int) -> Audit:
    """Measure the networks whole, in one shuffled session with the operators.

    Goes on with an unfinished audit of the same networks. The audit is left in the outbox;
    `place.send` posts it.

    Raises:
        IncompleteTable: rows are missing; the message names the command that measures them.
        ServerUnreachable: at the start; visits of an unfinished audit are kept.
        DeviceFailed: the device is gone or too busy, and visits so far are kept; or a program
            failed, and the next run begins anew.
        Halted: the place's watch ended the work; visits so far are kept.
    """
    runtime = place.device.runtime
    chosen = audited(space, networks, seed)
    place.client.register(place.name, place.device.describe())
    place.send()
    table = place.client.table(place.name, runtime=runtime, space=space.name)
    table.latencies_us(space.operators)
    purpose = f"audit of {networks} networks, seed {seed}"
    opened = place.unfinished(space.name, purpose)
    if opened is None:
        opened = place.begin(space.name, space.operators, purpose)
    else:
        place.say_resuming(opened, "audit")
    operators = PROTOCOLS[runtime.protocol](space, space.operators, runtime, opened.session.effort)
    work = place.measure(opened, [*operators, *(whole(each, runtime) for each in chosen)])
    session = ended(opened.session, place.device)
    recorded = place.journal.failures(session.id)
    failures = {program: recorded[program] for program in work if program in recorded}
    if failures:
        place.journal.close(session, [])
        program, (failure, _) = next(iter(failures.items()))
        raise DeviceFailed(
            f"{len(failures)} of {len(work)} programs failed, so there is nothing to compare; "
            f"{program}: {failure.code}: {failure.message}"
        )
    rounds = found(opened, work, place.journal)
    done = _audit(session, table, chosen, rounds, seed)
    place.journal.close(session, [done])
    return done


def show(figures: AuditSummary, *, device: str) -> None:
    screen.errors(
        f"{device}, {figures.space}: {figures.networks} networks, predicted against measured",
        {
            "table": figures.table,
            "session": figures.fresh,
            "fitted": figures.fitted,
        },
    )


def _audit(
    session: Session,
    table: LatencyTable,
    chosen: Sequence[Network],
    rounds: Mapping[str, Rounds],
    seed: int,
) -> Audit:
    figures = {name: each.estimate() for name, each in rounds.items()}
    fresh_us = {name: figure.latency_us for name, figure in figures.items()}
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
        networks=tuple(
            AuditedNetwork(
                name=each.name,
                blocks=each.blocks,
                predicted_us=sum(table.latencies_us(each.operators)),
                fresh_us=latency_of(each, fresh_us),
                measured=figures[each.name],
            )
            for each in chosen
        ),
    )


if __name__ == "__main__":
    main(app)
