"""What people are told to run is what the programs take."""

import shlex

import pytest

from contract import commands
from tests.fakes import RUNTIME


def test_a_runtime_adds_the_options_that_are_not_the_usual_ones() -> None:
    two = RUNTIME.evolve(threads=2, runner="native", protocol="in_situ")
    assert commands.profile("s8", space="fbnet-32", runtime=two, again=True) == (
        "python -m device_agent.run --device s8 --space fbnet-32 --threads 2 --again"
    )
    assert commands.audit("s8", runtime=two) == (
        "python -m device_agent.audit --device s8 --threads 2"
    )


@pytest.mark.parametrize("value", ["a b", "it's", "$(reboot)", "`x`"])
def test_what_a_person_wrote_stays_one_word(value: str) -> None:
    assert shlex.split(commands.profile("host", space=value))[-1] == value
    assert shlex.split(commands.serve("host", server=value))[-1] == value
    assert shlex.split(commands.revoke_token(value))[-1] == value


def test_what_is_left_out_is_not_asked_for() -> None:
    assert commands.serve() == "python -m device_agent.serve"
    assert commands.profile("host") == "python -m device_agent.run --device host"
    assert commands.search("A", "B") == "python -m search.run --device A --device B"
