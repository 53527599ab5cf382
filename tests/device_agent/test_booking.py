"""Booking: every event of a network to its operator, or nothing at all."""

from collections import Counter
from collections.abc import Callable
from statistics import median

import pytest

from contract.networks import Network, network
from contract.spaces import SPACE_NAMES, space
from contract.timings import Dtype
from device_agent.booking import book, owners
from device_agent.devices import Event, ProgramFailed, ProgramTiming
from device_agent.in_situ import designed

SPACE = space("fbnet-224")
DENSE, DEPTHWISE = "Fully Connected (NC, F32) GEMM #1", "Convolution (NHWC, F32) DWConv #1"
INDIRECT, ADD, MOVE = "Convolution (NHWC, F32) IGEMM #1", "Add (ND) #1", "Transpose (ND, X32) #1"
MEAN, RESHAPE, CONVERT = "Mean (ND) Reduce2 #1", "Static Reshape (NC) #1", "Convert (NC) #1"
IN_INT8 = {
    DENSE: "Fully Connected (NC, QS8, QC8W) GEMM #1",
    DEPTHWISE: "Convolution (NHWC, QC8) DWConv #1",
    INDIRECT: "Convolution (NHWC, QC8) IGEMM #1",
    MOVE: "Transpose (ND, X8) #1",
    MEAN: "Mean (ND) #1",
}


def only(block: str, layer: int) -> Network:
    """A network of skips and k3_e1, but for one layer."""
    blocks = ["skip" if slot.keeps_shape else "k3_e1" for slot in SPACE.slots]
    blocks[layer - 1] = block
    return network(blocks, space=SPACE, name="tested")


def events_of(tested: Network, dtype: Dtype = "float32") -> list[str]:
    """The events that XNNPACK 1.5.1 reports, as traces of whole networks show them."""
    convert = [CONVERT] * (dtype == "int8")
    names = [*convert, MOVE, INDIRECT]
    for operator in tested.layers:
        if operator.block.name == "skip":
            continue
        if "_g2" in operator.block.name:
            there_and_back = [CONVERT, RESHAPE, CONVERT, MOVE] if dtype == "int8" else []
            names += [INDIRECT, MOVE, RESHAPE, MOVE, *there_and_back, DEPTHWISE, INDIRECT]
        else:
            names += [DENSE, DEPTHWISE, DENSE]
        names += [ADD] * operator.slot.keeps_shape
    names += [DENSE, MEAN, MOVE, RESHAPE, DENSE, *convert]
    return [IN_INT8.get(name, name) for name in names] if convert else names


def timing(names: list[str], *, event_ns: int, whole_ns: int) -> ProgramTiming:
    return ProgramTiming(
        samples_ns=(whole_ns, whole_ns),
        first_run_ns=whole_ns,
        load_ns=1,
        output=b"",
        delegates=("XnnpackBackend",),
        events=tuple(Event(name=name, samples_ns=(event_ns, event_ns)) for name in names),
    )


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


@pytest.mark.parametrize(
    ("plain_us", "seven_events_us"),
    [
        # Seven events of 10 us, and seven shares of the 1 us that a plain run spends beyond each.
        (11.0, 77.0),
        # A device that was slower while it was traced: everything in proportion.
        (9.0, 63.0),
    ],
)
def test_the_booked_times_add_up_to_the_whole_without_the_tracer(
    plain_us: float, seven_events_us: float
) -> None:
    tested = only("k5_e1_g2", layer=3)
    names = events_of(tested)
    traced = timing(names, event_ns=10_000, whole_ns=14_000 * len(names))
    plain = timing([], event_ns=0, whole_ns=round(plain_us * 1000) * len(names))
    booked = book(tested, traced, plain)
    copies = Counter(operator.key for operator in tested.operators)
    whole_us = sum(median(samples) * copies[key] for key, samples in booked.items())
    assert whole_us == pytest.approx(plain_us * len(names))
    assert booked[tested.layers[2].key] == pytest.approx([seven_events_us] * 2)


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


@pytest.mark.parametrize("name", SPACE_NAMES)
def test_every_candidate_of_every_slot_is_designed_in_twice(name: str) -> None:
    tested = space(name)
    networks = designed(tested)
    for layer, slot in enumerate(tested.slots):
        counts = Counter(network.layers[layer] for network in networks)
        assert set(counts) == set(tested.candidates(slot))
        assert min(counts.values()) >= 2
    assert {network.head for network in networks} == set(tested.heads)
    assert networks == designed(tested)
