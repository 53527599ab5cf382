"""`python -m device_agent.audit --device host`: whole networks against the sum of their rows."""

import sys
from typing import Annotated

from cyclopts import Parameter, validators

from contract.audits import LEAST_NETWORKS, MOST_NETWORKS, AuditSummary, summary
from contract.cli import command_line, main
from contract.client import default_server, known_space
from contract.networks import NETWORK_NAMES
from contract.spaces import DEFAULT_SPACE
from device_agent import screen
from device_agent.measuring.audit import audit
from device_agent.measuring.station import Options, SpaceText, open_station

app = command_line(
    "python -m device_agent.audit", "Check a device's table against whole networks."
)


@app.default
def run(
    *,
    options: Options,
    space: SpaceText = DEFAULT_SPACE,
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
    chosen = known_space(space, server=options.server or default_server())
    with open_station(options) as station:
        done = audit(station, chosen, networks=networks, seed=seed)
        if as_json:
            sys.stdout.write(done.model_dump_json() + "\n")
        show(summary(done), device=station.name)
        station.send(must_store=[done.id])


def show(figures: AuditSummary, *, device: str) -> None:
    at_level = {"table, at its level": figures.at_level} if figures.at_level else {}
    screen.errors(
        f"{device}, {figures.space}: {figures.networks} networks, predicted against measured",
        {"table": figures.table, **at_level, "session": figures.fresh, "fitted": figures.fitted},
    )
    if figures.level is not None:
        screen.console.print(f"{device} {figures.level.words}", markup=False, highlight=False)


if __name__ == "__main__":
    main(app)
