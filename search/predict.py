"""`python -m search.predict`: a network's latency by a device's table, layer by layer."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from contract.cli import command_line, main
from contract.client import default_server
from contract.errors import PhonebookError
from contract.networks import NETWORK_NAMES, Network, published
from contract.results import SearchResult
from contract.spaces import find_space
from contract.tables import LatencyTable
from search.console import comparison, difference_percent, people_us, plain_console
from search.measuring.network import Measured, Subject, Where, measurer, where_of
from search.tables.fetch import fetch

app = command_line(
    "python -m search.predict", "Predict a network's latency on a device, layer by layer."
)


@app.default
def predict(
    *,
    listed: Annotated[bool, Parameter(name="--list", negative="")] = False,
    device: str | None = None,
    network: str | None = None,
    space: str | None = None,
    server: str | None = None,
    offline: Annotated[bool, Parameter(negative="")] = False,
    measure: Where = "no",
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Predict a network's latency on a device, layer by layer.

    Args:
        listed: List the networks that have a name, and do nothing else.
        device: Whose table: DEVICE, DEVICE@RUNTIME with a runtime's key or parts of it
            (host@int8), DEVICE@imported, or any other address of a table, as the server's pages
            write it.
        network: A network's name, or the path of a search's result.json.
        space: Put a named network's blocks into this space; else its own.
        server: The server's address; else PHONEBOOK_SERVER, else this computer.
        offline: Use the table that was fetched last, and do not ask the server.
        measure: Who measures the network on the device too: an agent that serves it, through the
            server's queue; a program here; auto, the queue where an agent serves it now and else
            here; or no.
        as_json: Print one JSON document.
    """
    console = plain_console()
    if listed:
        show_networks(console, [named(name, space) for name in NETWORK_NAMES], as_json=as_json)
        return
    if device is None or network is None:
        raise PhonebookError("give --device and --network, or --list to see the networks")
    if network.endswith(".json"):
        found = SearchResult.read(Path(network)).network()
        if space is not None and find_space(space) != found.space:
            raise PhonebookError(f"{network} is of {found.space.name}; leave --space {space} out")
        words: tuple[str, ...] = ("--result", network)
    else:
        found = named(network, space)
        words = ("--network", network, "--space", space or found.space.name)
    address = server or default_server()
    table = fetch(address, target=device, space=found.space, offline=offline)
    where = where_of(table, measure)
    latencies_us = table.latencies_us(found.operators)
    if not as_json:
        show_prediction(console, found, table, latencies_us)
    if where != measure and not as_json:
        console.print("the table is imported, so the network is not measured")
    how = measurer(where, server=address, console=Console(stderr=True, markup=False))
    subject = Subject(network=found, device=table.device, runtime=table.runtime, words=words)
    measured = how(subject) if how else None
    if as_json:
        document = prediction_document(found, table, latencies_us, measured)
        console.print(json.dumps(document, indent=2))
    elif measured is not None:
        at = measured.at_level_of(table)
        console.print(
            comparison(
                sum(latencies_us), measured.latency_us, at_level_us=at.latency_us if at else None
            )
        )
        console.print(measured.words)


def named(name: str, space: str | None) -> Network:
    """A published network, in its own space unless another is named.

    Raises:
        PhonebookError: no such network or space; the message lists near names.
    """
    return published(name, in_space=find_space(space) if space is not None else None)


def show_networks(console: Console, networks: list[Network], *, as_json: bool) -> None:
    """Every network with its space, counts, head and blocks."""
    if as_json:
        described = [
            {
                "name": network.name,
                "space": network.space.name,
                "macs": network.macs(),
                "params": network.params(),
                "head": network.head_channels,
                "blocks": network.blocks,
            }
            for network in networks
        ]
        console.print(json.dumps(described, indent=2))
        return
    for network in networks:
        console.print(
            f"{network.name} in {network.space.name}: {network.macs() / 1e6:.1f} M MACs, "
            f"{network.params() / 1e6:.2f} M weights, head {network.head_channels}"
        )
        console.print(f"    {' '.join(network.blocks)}")


def show_prediction(
    console: Console, network: Network, table: LatencyTable, latencies_us: tuple[float, ...]
) -> None:
    """The network's operators with their rows, and the sum."""
    title = f"{network.name} in {network.space.name} on {table.device}"
    rows = Table(
        "", "operator", title=f"{title} ({table.provenance})" if table.provenance else title
    )
    rows.add_column("latency", justify="right")
    places = ("stem", *map(str, range(1, len(network.layers) + 1)), "head")
    for place, operator, latency_us in zip(places, network.operators, latencies_us, strict=True):
        rows.add_row(place, operator.key, people_us(latency_us))
    console.print(rows)
    low_us, high_us = table.interval_us(network.operators)
    between = f" ({people_us(low_us)} to {people_us(high_us)})" if low_us < high_us else ""
    console.print(f"predicted {people_us(sum(latencies_us))}{between} on {table.title}")


def prediction_document(
    network: Network,
    table: LatencyTable,
    latencies_us: tuple[float, ...],
    measured: Measured | None,
) -> dict[str, Any]:
    """What --json prints; the measured figures are null where nothing was measured."""
    predicted_us = sum(latencies_us)
    low_us, high_us = table.interval_us(network.operators)
    measured_us = measured.latency_us if measured else None
    at_level = measured.at_level_of(table) if measured else None
    compared_us = at_level.latency_us if at_level else measured_us
    return {
        "device": table.device,
        "runtime": table.runtime.key,
        "origin": table.origin,
        "sources": [source.model_dump(mode="json") for source in table.sources],
        "network": network.name,
        "space": network.space.name,
        "table_snapshot": table.snapshot,
        "operators": [
            {"operator": operator.key, "latency_us": latency_us}
            for operator, latency_us in zip(network.operators, latencies_us, strict=True)
        ],
        "predicted_us": predicted_us,
        "predicted_low_us": low_us,
        "predicted_high_us": high_us,
        "measured_us": measured_us,
        "measured_at_level": at_level.model_dump(mode="json") if at_level else None,
        "difference_percent": (
            difference_percent(predicted_us, compared_us) if compared_us else None
        ),
        "footprint": (
            measured.footprint.model_dump() if measured and measured.footprint else None
        ),
    }


if __name__ == "__main__":
    main(app)
