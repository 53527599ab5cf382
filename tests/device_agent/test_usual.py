"""What the probes usually take on the calm device, by its sessions."""

from uuid import UUID

import pytest

from contract.derivation import ESTIMATOR, Calm, Derivation
from contract.sessions import Session
from device_agent.measuring.usual import disturbance_words, usual_calm
from tests.server.making import RUNTIME, a_session


def found(
    number: int,
    probe_ns: float,
    memory_ns: float | None = None,
    *,
    estimator: str = ESTIMATOR,
    **differing: object,
) -> Session:
    derivation = Derivation(
        estimator=estimator,
        event_cut_ns=500,
        scale=None,
        calm_probe_ns=probe_ns,
        calm_memory_probe_ns=memory_ns,
    )
    session = a_session(minutes=number)
    return session.evolve(**{"id": UUID(int=number), "derivation": derivation, **differing})


NOW = found(99, 70_000.0)


def test_most_sessions_do_not_have_to_be_calm_for_it() -> None:
    earlier = [
        found(number, ns) for number, ns in enumerate((54_000, 54_200, 54_100, 61_000, 65_000))
    ]
    usual = usual_calm([NOW, *earlier], NOW)
    assert usual is not None
    assert usual.probe_ns == pytest.approx(54_100, abs=100)
    assert usual.memory_probe_ns is None


def test_the_probe_that_reaches_memory_is_remembered_by_itself() -> None:
    earlier = [found(1, 54_000, 4e6), found(2, 60_000, 3e6), found(3, 60_000)]
    assert usual_calm(earlier, NOW) == Calm(probe_ns=57_000, memory_probe_ns=3.25e6)


def test_another_runtime_unit_or_origin_says_nothing() -> None:
    others = [
        found(1, 50_000.0, runtime=RUNTIME.evolve(threads=4)),
        found(2, 50_000.0, unit="another"),
        found(3, 50_000.0, origin="emulated"),
        found(4, 50_000.0).evolve(derivation=None),
        found(5, 50_000.0, estimator="calm-1"),  # which meant the best by it, not the calm
    ]
    assert usual_calm([NOW, *others], NOW) is None
    assert usual_calm([NOW, *others, found(6, 60_000.0)], NOW) == Calm(probe_ns=60_000)


@pytest.mark.parametrize(("own_ns", "is_told"), [(54_000, False), (55_000, False), (58_000, True)])
def test_a_person_is_told_of_a_session_that_never_was_calm(own_ns: float, is_told: bool) -> None:
    derivation = found(1, own_ns).derivation
    assert derivation is not None
    words = disturbance_words(derivation.evolve(usual_probe_ns=54_000.0), device="host")
    if is_told:
        assert words is not None
        assert "7% longer in its calm moments than in those of earlier sessions" in words
        assert "--again" in words
    else:
        assert words is None
    assert disturbance_words(derivation, device="host") is None
