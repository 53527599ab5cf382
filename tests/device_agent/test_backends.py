"""A second backend is a folder and a line: whatever is asked of one, its value answers."""

from dataclasses import replace

import pytest

from contract.errors import PhonebookError
from contract.runtime import BackendName
from contract.spaces import space
from device_agent.backends import registry
from device_agent.backends.xnnpack.backend import XNNPACK
from device_agent.measuring.protocols.registry import PROTOCOLS
from tests.fakes import RUNTIME

SPACE = space("fbnet-32")


def test_what_has_no_folder_here_is_refused_by_name() -> None:
    foreign: BackendName = "foreign"
    with pytest.raises(PhonebookError, match="on backend 'foreign' here; there are: xnnpack"):
        registry.backend_of(foreign)


def test_one_without_events_times_operators_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = replace(XNNPACK, owners=None)
    monkeypatch.setattr(registry, "BACKENDS", {silent.name: silent})
    with pytest.raises(PhonebookError, match=r"reports no events.*--protocol isolated"):
        PROTOCOLS["in_situ"].plan(SPACE.operators, space=SPACE, runtime=RUNTIME, effort="quick")
    alone = PROTOCOLS["isolated"].plan(
        SPACE.operators, space=SPACE, runtime=RUNTIME, effort="quick"
    )
    assert len(alone) == len(SPACE.operators)


def test_a_protocol_says_which_operators_a_session_measures() -> None:
    missing = SPACE.operators[:2]
    assert PROTOCOLS["isolated"].needed(missing, space=SPACE) == missing
    assert PROTOCOLS["in_situ"].needed(missing, space=SPACE) == SPACE.operators
    assert not any(each.needed((), space=SPACE) for each in PROTOCOLS.values())
