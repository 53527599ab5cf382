"""Searches for a large database, written into its tables at once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert

from benchmarks.service_data import RUNTIME, SPACE
from contract.networks import network
from contract.searches import (
    Elsewhere,
    FoundFigures,
    FoundLayer,
    FoundNetwork,
    LearntFrom,
    SearchEpoch,
    SearchPlan,
)
from server.database.records import SearchEpochRecord, SearchRecord

EPOCHS = 90  # as many as the paper's
PER_GROUP = 2
BLOCKS = ("k3_e1",) * len(SPACE.slots)


def add_searches(connection: Connection, device: str, searches: int) -> None:
    """Finished searches for the device, in pairs of one command."""
    found, began = found_network(), datetime.now(UTC) - timedelta(hours=searches)
    epochs = [an_epoch(number).model_dump(mode="json") for number in range(1, EPOCHS + 1)]
    group = uuid4()
    for number in range(searches):
        id = uuid4()
        group = uuid4() if number % PER_GROUP == 0 else group
        plan = a_plan(device, number, group, began + timedelta(hours=number))
        body = found.evolve(accuracy=0.5 + number / searches / 2)
        figures = body.model_dump(mode="json", include=set(FoundFigures.model_fields))
        parts = body.model_dump(mode="json", exclude=set(FoundFigures.model_fields))
        other = Elsewhere(
            target=f"{device}-{1 - number % PER_GROUP}",
            device=device,
            runtime=RUNTIME,
            snapshot=plan.snapshot,
            predicted_us=2000,
        )
        connection.execute(
            insert(SearchRecord).values(
                id=id,
                device=device,
                runtime=RUNTIME.key,
                space=SPACE.name,
                started_at=plan.started_at,
                heard_at=plan.started_at,
                state="finished",
                plan=plan.model_dump(mode="json"),
                figures=figures,
                parts=parts,
                elsewhere=[other.model_dump(mode="json")],
            )
        )
        connection.execute(
            insert(SearchEpochRecord),
            [{"search": id, "epoch": each["epoch"], "content": each} for each in epochs],
        )


def a_plan(device: str, number: int, group: UUID, moment: datetime) -> SearchPlan:
    return SearchPlan(
        group=group,
        target=f"{device}-{number % PER_GROUP}",
        device=device,
        runtime=RUNTIME,
        space=SPACE.name,
        snapshot="sha256:" + "0" * 64,
        seed=number,
        epochs=EPOCHS,
        target_us=None,
        data=LearntFrom(name="none", classes=10, training=1000, test=100),
        config={f"option{each}": each for each in range(40)},
        started_at=moment,
    )


def an_epoch(number: int) -> SearchEpoch:
    counts = [len(choice.candidates) for choice in SPACE.choices]
    return SearchEpoch(
        epoch=number,
        trains_theta=True,
        temperature=5.0,
        weight_cross_entropy=2.0 / number,
        theta_cross_entropy=2.0 / number,
        latency_term=1.0,
        theta_loss=2.0 / number,
        theta_accuracy=0.5,
        expected_latency_us=1000.0 + number,
        theta_entropy=2.0,
        theta=tuple((1 / count,) * count for count in counts),
        seconds=1.0,
    )


def found_network() -> FoundNetwork:
    layers = network(BLOCKS, space=SPACE).layers
    return FoundNetwork(
        architecture=BLOCKS,
        predicted_us=1000 + 10.0 * len(layers),
        accuracy=0.5,
        macs=1_000_000,
        params=1_000_000,
        stem_us=500,
        head_us=500,
        layers=tuple(
            FoundLayer(
                number=number,
                operator=layer.key,
                block=layer.block.name,
                probability=0.5,
                latency_us=10,
            )
            for number, layer in enumerate(layers, start=1)
        ),
    )
