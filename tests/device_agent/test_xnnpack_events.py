"""Booking: every event of a network to its operator, or nothing at all."""

from collections import Counter
from collections.abc import Callable

import pytest

from contract.derivation import EVENT_CUT_NS
from contract.networks import Network, network
from contract.runtime import Dtype
from contract.spaces import SPACE_NAMES, space
from device_agent.backends.xnnpack.events import owners
from device_agent.device import Event, ProgramFailed, ProgramTiming
from device_agent.measuring.protocols.in_situ import design_networks
from tests.device_agent.booking import booked
from tests.device_agent.simulated import CONVERT, DENSE, MOVE, event_names

SPACE = space("fbnet-224")


def only(block: str, layer: int) -> Network:
    """A network of skips and k3_e1, but for one layer."""
    blocks = ["skip" if slot.keeps_shape else "k3_e1" for slot in SPACE.slots]
    blocks[layer - 1] = block
    return network(blocks, space=SPACE, name="tested")


def events_of(tested: Network, dtype: Dtype = "float32") -> list[str]:
    return [name for operator in tested.operators for name in event_names(operator, dtype)]


@pytest.mark.parametrize(
    ("dtype", "block", "expected"),
    [
        ("float32", "k3_e1", 4),
        ("float32", "k5_e6", 4),
        ("float32", "k5_e1_g2", 7),
        ("float32", "skip", 0),
        ("int8", "k5_e6", 4),
        ("int8", "k5_e1_g2", 11),
        ("int8", "skip", 0),
    ],
)
def test_each_event_finds_its_operator(dtype: Dtype, block: str, expected: int) -> None:
    tested = only(block, layer=3)
    counts = Counter(owners(tested, events_of(tested, dtype)))
    assert counts[3] == expected
    at_the_ends = {"float32": (2, 5), "int8": (3, 6)}[dtype]
    assert (counts[0], counts[len(tested.operators) - 1]) == at_the_ends
    assert counts[2] == 3  # layer 2 changes the shape: nothing is added


def test_an_operator_gets_its_own_events_and_half_a_tick_for_each() -> None:
    tested = only("k5_e1_g2", layer=3)
    names = events_of(tested)
    traced = ProgramTiming(
        samples_ns=(1, 1),
        probes_ns=(1, 1, 1),
        first_run_ns=1,
        load_ns=1,
        output=b"",
        delegates=("XnnpackBackend",),
        events=tuple(
            Event(name=name, samples_ns=(10_000 * (number + 1), 0))
            for number, name in enumerate(names)
        ),
    )
    found = booked(tested, traced)
    own = [number for number, owner in enumerate(owners(tested, names)) if owner == 3]
    assert len(own) == 7
    first_run_us = sum(10.0 * (number + 1) for number in own) + 7 * EVENT_CUT_NS / 1000
    assert found[tested.layers[2].key] == pytest.approx([first_run_us, 3.5])


def test_an_operator_that_a_network_holds_twice_gets_the_mean() -> None:
    tested = only("k3_e1", layer=3)
    names = events_of(tested)
    copies = Counter(operator.key for operator in tested.operators)
    key, count = copies.most_common(1)[0]
    traced = ProgramTiming(
        samples_ns=(1,),
        probes_ns=(1, 1),
        first_run_ns=1,
        load_ns=1,
        output=b"",
        delegates=("XnnpackBackend",),
        events=tuple(
            Event(name=name, samples_ns=(1000 * number,)) for number, name in enumerate(names)
        ),
    )
    everything = sum(us * copies[name] for name, (us,) in booked(tested, traced).items())
    assert count >= 2, key
    assert everything == pytest.approx(sum(range(len(names))) + len(names) * EVENT_CUT_NS / 1000)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda names: names[:-1], "7 events end before head1504"),
        (lambda names: [*names[:2], "Softmax (NC, F32) #1", *names[3:]], "unknown event 'Softmax"),
        (lambda names: [*names[:3], DENSE, *names[4:]], "event 4 is 'Fully Connected.*depthwise"),
        (lambda names: [*names[:3], MOVE, *names[3:]], "event 4 is 'Transpose.*depthwise"),
        (lambda names: [*names[:3], CONVERT, *names[3:]], "event 4 is 'Convert.*depthwise"),
        (lambda names: [*names, DENSE], "expected no more events"),
        (lambda names: [], "0 events end before stem"),
    ],
)
def test_events_that_do_not_fit_are_an_error(
    spoil: Callable[[list[str]], list[str]], message: str
) -> None:
    tested = only("k3_e1", layer=3)
    with pytest.raises(ProgramFailed, match=message.replace("7 events", r"\d+ events")) as failed:
        owners(tested, spoil(events_of(tested)))
    assert failed.value.code == "wrong_events"


@pytest.mark.parametrize("designs", [1, 2])
@pytest.mark.parametrize("name", SPACE_NAMES)
def test_every_candidate_of_every_slot_is_twice_in_each_design(name: str, designs: int) -> None:
    tested = space(name)
    networks = design_networks(tested, designs)
    for layer, choice in enumerate(tested.choices):
        counts = Counter(network.layers[layer] for network in networks)
        assert set(counts) == set(choice.candidates)
        assert min(counts.values()) >= 2 * designs
    assert {network.head for network in networks} == set(tested.heads)
    assert len({network.blocks for network in networks}) == len(networks)
    assert networks == design_networks(tested, designs)
