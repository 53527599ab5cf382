"""From visits to samples: by hand, for operators alone and inside networks."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from contract.derivation import ESTIMATOR, EVENT_CUT_NS, Calm, derive
from contract.visits import Layout, Series, Visit, VisitBatch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# Operator a runs twice in the network, b once; b has two events.
NETWORK = Layout(
    program="net", operators=("a", "b", "a"), events=("x", "y", "y", "x"), owners=(0, 1, 1, 2)
)
ALONE = Layout(program="a-alone", operators=("a",))


def visit(program: str, *series: Series, number: int = 0, made_at: datetime = NOON) -> Visit:
    return Visit(program=program, round=number, made_at=made_at, series=series)


def whole(*samples_ns: int, probe_ns: int = 1000) -> Series:
    return Series(samples_ns=samples_ns, probes_ns=(probe_ns,) * (len(samples_ns) + 1))


def traced(*events_ns: tuple[int, ...], probe_ns: int = 1000) -> Series:
    runs = len(events_ns[0])
    return Series(
        samples_ns=(10**6,) * runs, probes_ns=(probe_ns,) * (runs + 1), events_ns=events_ns
    )


def test_an_operator_alone_has_the_samples_of_its_program() -> None:
    later = NOON + timedelta(minutes=1)
    visits = [
        visit("a-alone", whole(50_000, 51_000)),
        visit("a-alone", whole(52_000), number=1, made_at=later),
    ]
    derived = derive([ALONE], visits)
    assert derived is not None
    assert derived.operators["a"].us == [[50.0, 51.0], [52.0]]
    assert derived.operators["a"].drift == [[1.0, 1.0], [1.0]]
    assert derived.operators["a"].at == later
    assert (derived.networks, derived.derivation.scale) == ({}, None)


def test_events_are_summed_made_up_for_their_cut_and_copies_are_averaged() -> None:
    """Each event is told in whole microseconds, half of one too short on average."""
    events = ((4_000, 5_000), (10_000, 11_000), (20_000, 22_000), (6_000, 7_000))
    derived = derive([NETWORK], [visit("net", traced(*events))])
    assert derived is not None
    cut_us = EVENT_CUT_NS / 1000
    assert derived.operators["a"].us == [[5.0 + cut_us, 6.0 + cut_us]]
    assert derived.operators["b"].us == [[30.0 + 2 * cut_us, 33.0 + 2 * cut_us]]
    assert derived.derivation.scale is None  # the network was never timed whole


def test_operators_are_scaled_to_the_whole_network() -> None:
    events = ((4_000,), (10_000,), (20_000,), (6_000,))
    derived = derive([NETWORK], [visit("net", traced(*events), whole(46_200))])
    assert derived is not None
    # By events 2 x 5.5 + 31 = 42 us; untraced 46.2.
    assert derived.derivation.scale == pytest.approx(1.1)
    assert derived.operators["a"].us == [[6.05]]
    assert derived.operators["b"].us == [[34.1]]
    assert derived.networks["net"].us == [[46.2]]
    assert derived.derivation.estimator == ESTIMATOR


def test_a_run_is_as_disturbed_as_the_slower_of_its_probes() -> None:
    calm = [visit("a-alone", whole(50_000), number=number) for number in range(40)]
    between = Series(samples_ns=(60_000, 61_000, 62_000), probes_ns=(1000, 1000, 1500, 1250))
    derived = derive([ALONE], [*calm, visit("a-alone", between, number=40)])
    assert derived is not None
    assert derived.operators["a"].drift[-1] == [1.0, 1.5, 1.5]


def test_what_calm_is_does_not_hang_on_how_much_of_a_session_was() -> None:
    """Of the probes within a tenth of the best the median, however few these are."""
    calm = [visit("a-alone", whole(50_000, probe_ns=ns), number=ns) for ns in (990, 1000, 1010)]
    rest = [visit("a-alone", whole(80_000, probe_ns=1500), number=number) for number in range(40)]
    derived = derive([ALONE], [*calm, *rest])
    assert derived is not None
    assert derived.derivation.calm_probe_ns == 1000


def test_a_slower_memory_slows_a_run_by_less() -> None:
    usual = Calm(probe_ns=1000, memory_probe_ns=2e6)
    slow = Series(
        samples_ns=(60_000,), probes_ns=(1000, 1000), memory_probes_ns=(3_000_000, 3_000_000)
    )
    derived = derive([ALONE], [visit("a-alone", slow)], usual=usual)
    assert derived is not None
    assert derived.operators["a"].drift == [[pytest.approx(1.5**0.4, abs=1e-4)]]
    assert derived.derivation.told_against == usual
    assert derived.derivation.disturbance == pytest.approx(1.5**0.4)


def test_nothing_comes_of_no_visits() -> None:
    assert derive([ALONE], []) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Series(samples_ns=(1, 2), probes_ns=(1, 1)), "a probe before each run"),
        (
            lambda: Series(samples_ns=(1, 2), probes_ns=(1, 1, 1), events_ns=((1,),)),
            "a duration for each run",
        ),
        (lambda: Series(samples_ns=(0,), probes_ns=(1, 1)), "greater than or equal to 1"),
        (lambda: Layout(program="p", operators=("a",), events=("x",)), "an owner for each"),
        (
            lambda: Layout(program="p", operators=("a",), events=("x",), owners=(1,)),
            "belongs to no operator",
        ),
        (
            lambda: VisitBatch(layouts=(), visits=(visit("net", whole(1)),)),
            "no layout of the program net",
        ),
        (
            lambda: VisitBatch(layouts=(NETWORK,), visits=(visit("net", traced((1,))),)),
            "1 events, and 4 in its layout",
        ),
    ],
)
def test_visits_that_contradict_themselves_are_refused(make: type, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        make()


def test_a_session_that_never_found_the_device_calm_is_corrected_and_less_sure() -> None:
    """Its own calm probe is 1.2 times what the device usually needs."""
    visits = [
        visit("a-alone", whole(60_000, 60_000, 60_000, 60_000, probe_ns=1200), number=number)
        for number in range(4)
    ]
    alone = derive([ALONE], visits)
    beside_others = derive([ALONE], visits, usual=Calm(probe_ns=1000))
    assert alone is not None
    assert beside_others is not None
    assert alone.operators["a"].estimate().grade == "A"
    assert beside_others.operators["a"].drift == [[1.2] * 4] * 4
    corrected = beside_others.operators["a"].estimate()
    assert corrected.latency_us == pytest.approx(50)
    assert (corrected.calm, corrected.grade) == (0, "B")
    assert corrected.low_us < 49 < 51 < corrected.high_us
    assert beside_others.derivation.disturbance == pytest.approx(1.2)
    assert alone.derivation.disturbance == 1


def test_a_session_that_found_the_device_calmer_than_usual_is_brought_to_the_usual_calm() -> None:
    calm = visit("a-alone", whole(60_000, probe_ns=1000))
    derived = derive([ALONE], [calm], usual=Calm(probe_ns=1100))
    assert derived is not None
    assert derived.operators["a"].drift == [[pytest.approx(1 / 1.1, abs=1e-4)]]
    assert derived.operators["a"].estimate().latency_us == pytest.approx(66_000 / 1000, rel=1e-3)
    assert derived.derivation.disturbance < 1


def test_networks_that_were_traced_and_timed_whole_are_references() -> None:
    events = ((4_000,), (10_000,), (20_000,), (6_000,))
    audited = Layout(program="audited", operators=("a", "b"))
    derived = derive(
        [NETWORK, ALONE, audited],
        [
            visit("net", traced(*events), whole(46_200)),
            visit("a-alone", whole(5_000)),
            visit("audited", whole(20_000)),
        ],
    )
    assert derived is not None
    assert [(each.program, each.latency_us) for each in derived.derivation.references] == [
        ("net", 46.2)
    ]
