"""`python -m device_agent.run --device host`: measure what a table is missing, and post it."""

from typing import Annotated

from cyclopts import Parameter

from contract.cli import command_line, main
from contract.client import default_server, known_space
from contract.spaces import DEFAULT_SPACE
from device_agent.measuring.profile import profile
from device_agent.measuring.station import Options, SpaceText, open_station

app = command_line("python -m device_agent.run", "Measure the operators of a space on a device.")


@app.default
def run(
    *,
    options: Options,
    space: SpaceText = DEFAULT_SPACE,
    again: Annotated[
        bool, Parameter(negative="", help="Measure operators that have a row anew.")
    ] = False,
) -> None:
    """Ask which operators the table is missing, export them, measure them, post the timings."""
    chosen = known_space(space, server=options.server or default_server())
    with open_station(options) as station:
        profile(station, chosen, again=again)


if __name__ == "__main__":
    main(app)
