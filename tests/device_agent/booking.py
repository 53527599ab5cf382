"""Whose time a traced run of a network was, derived as a session does."""

from datetime import UTC, datetime

from contract.derivation import derive
from contract.networks import Network
from contract.visits import Visit
from device_agent.device import ProgramTiming
from device_agent.measuring.visit_program import layout_of, series_of
from device_agent.programs.program import Program
from tests.fakes import RUNTIME


def booked(network: Network, traced: ProgramTiming) -> dict[str, list[float]]:
    """Each operator's time in us, by traced run.

    Raises:
        ProgramFailed: the events are not this network's.
    """
    layout = layout_of(Program.under(RUNTIME, network), traced.events, name=network.name)
    visit = Visit(
        program=network.name, round=0, made_at=datetime.now(UTC), series=(series_of(traced),)
    )
    derived = derive([layout], [visit])
    assert derived is not None
    return {key: rounds.us[0] for key, rounds in derived.operators.items()}
