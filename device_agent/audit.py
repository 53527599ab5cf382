"""`python -m device_agent.audit --device host`: whole networks against the sum of their rows."""

import random
import sys
from typing import Annotated
from uuid import uuid5

from cyclopts import Parameter, validators

from contract.audits import LEAST_NETWORKS, Audit, AuditedNetwork, AuditSummary, summary
from contract.cli import command_line, main
from contract.errors import DeviceFailed, ServerUnreachable
from contract.networks import NETWORK_NAMES, Network, network, published
from contract.spaces import DEFAULT_SPACE, SearchSpace
from contract.spaces import space as space_named
from contract.tables import LatencyTable
from device_agent import screen
from device_agent.in_situ import latency_of
from device_agent.journal import OpenSession
from device_agent.protocols import PROTOCOLS, Work, whole
from device_agent.session import ended, found
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
            validator=validators.Number(gte=LEAST_NETWORKS, lte=1000),
        ),
    ] = 50,
    seed: Annotated[
        int, Parameter(help="Of the random networks.", validator=validators.Number(gte=0))
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


def audited(space: SearchSpace, count: int, seed: int) -> tuple[Network, ...]:
    """`count` networks drawn uniformly from the space, and the published ones put in it."""
    generator = random.Random(f"audit of {space.name}:{seed}")
    drawn = [
        network(
            [generator.choice(space.candidates(slot)).block.name for slot in space.slots],
            space=space,
            name=f"{space.name}-audit{seed}-{number + 1}",
        )
        for number in range(count)
    ]
    known = [published(name, in_space=space) for name in NETWORK_NAMES]
    return (*drawn, *known)


def audit(place: Workplace, space: SearchSpace, *, networks: int, seed: int) -> Audit:
    """Measure the networks whole, in one shuffled session with the operators, and post it.

    Goes on with an unfinished audit of the same networks.

    Raises:
        IncompleteTable: rows are missing; the message names the command that measures them.
        ServerUnreachable: at the start, with nothing begun; or at the end, with the audit kept
            in the outbox for the next run.
        DeviceFailed: a network did not run, or the device is gone or too busy; visits so far
            are kept.
    """
    runtime = place.device.runtime
    chosen = audited(space, networks, seed)
    place.client.register(place.name, place.device.describe())
    try:
        place.send()
    except ServerUnreachable as error:
        screen.console.print(str(error))
    table = place.client.table(place.name, runtime=runtime, space=space.name)
    for each in chosen:
        table.latencies_us(each.operators)
    purpose = f"audit of {networks} networks, seed {seed}"
    opened = place.unfinished(space.name, purpose)
    if opened is None:
        opened = place.begin(space.name, space.operators, purpose)
    else:
        began = opened.session.started_at
        screen.console.print(f"{place.name}: resuming the audit of {began:%c}")
    operators = PROTOCOLS[runtime.protocol](space, space.operators, runtime, opened.session.effort)
    work = place.measure(opened, [*operators, *(whole(each, runtime) for each in chosen)])
    done = _finished(place, opened, work, table, chosen, seed)
    place.journal.close(ended(opened.session, place.device), [done])
    place.send()
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


def _finished(
    place: Workplace,
    opened: OpenSession,
    work: dict[str, Work],
    table: LatencyTable,
    chosen: tuple[Network, ...],
    seed: int,
) -> Audit:
    failures = place.journal.failures(opened.session.id)
    if failures:
        program, (failure, _) = next(iter(failures.items()))
        raise DeviceFailed(
            f"{len(failures)} of {len(work)} programs failed, so there is nothing to compare; "
            f"{program}: {failure.code}: {failure.message}"
        )
    rounds = found(opened, work, place.journal)
    figures = {name: each.estimate() for name, each in rounds.items()}
    fresh_us = {name: figure.latency_us for name, figure in figures.items()}
    session = ended(opened.session, place.device)
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
