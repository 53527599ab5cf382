"""The report's charts as geometry: what the page's template draws as SVG."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

from contract.spaces import SearchSpace
from search.dnas.figures import EpochResult

WIDTH = 320  # of a line chart, SVG units
HEIGHT = 130
AREA_HEIGHT = 1000  # of an area chart; one epoch is one unit wide
MOST_GAPS = 5  # between ticks

# Blue for the first size of kernels, orange for the second: these stay apart in every common
# colour blindness, the shades in grey print too.
_HUES = (210, 30, 130, 280, 0, 60, 180)  # degrees
_GREY = "#8a8f98"
_LIGHTEST, _DARKEST = 85, 32  # percent


def block_colours(space: SearchSpace) -> dict[str, str]:
    """A CSS colour for each block of the space, by its name: alike for kernels of one size, from
    light to dark in the space's order; grey where nothing is computed."""
    colours = {}
    families: dict[int, list[str]] = {}
    for block in space.blocks:
        if block.is_free:
            colours[block.name] = _GREY
        else:
            families.setdefault(getattr(block, "kernel_size", 0), []).append(block.name)
    for hue, names in zip(cycle(_HUES), families.values(), strict=False):
        step = (_LIGHTEST - _DARKEST) / max(1, len(names) - 1)
        for number, name in enumerate(names):
            colours[name] = f"hsl({hue} 65% {_LIGHTEST - number * step:.0f}%)"
    return {block.name: colours[block.name] for block in space.blocks}


class Curve(NamedTuple):
    """One line of a chart."""

    name: str
    points: str  # SVG polyline
    end: tuple[float, float]
    last: str


class Tick(NamedTuple):
    """A labelled height."""

    y: float
    label: str


class Chart(NamedTuple):
    """Curves over the epochs on a common scale."""

    title: str
    curves: tuple[Curve, ...]
    ticks: tuple[Tick, ...]
    level: Tick | None  # a height to compare with, drawn as a dashed line


class Area(NamedTuple):
    """One block's share over the epochs, drawn from its upper edge down to the ground."""

    block: str
    path: str  # SVG path
    last: float


class SlotAreas(NamedTuple):
    """How one slot's P_theta moved; areas come highest first, so each covers its predecessor."""

    number: int  # from 1
    slot: str
    leading: str  # block at the end
    probability: float
    areas: tuple[Area, ...]


def line_charts(epochs: Sequence[EpochResult], *, target_us: float | None) -> tuple[Chart, ...]:
    """The terms of the loss, the latency, and how theta settles, epoch by epoch."""
    return (
        _chart(
            "Cross entropy",
            {
                "weights split": [epoch.weight_cross_entropy for epoch in epochs],
                "theta split": [epoch.theta_cross_entropy for epoch in epochs],
            },
        ),
        _chart(
            "Latency term of the loss", {"theta split": [epoch.latency_term for epoch in epochs]}
        ),
        _chart(
            "Loss of theta",
            {"theta split": [epoch.theta_loss for epoch in epochs]},
        ),
        _chart(
            "Expected latency, ms",
            {"under P(theta)": [epoch.expected_latency_us / 1000 for epoch in epochs]},
            level=None if target_us is None else target_us / 1000,
        ),
        _chart(
            "Entropy of P(theta), nats",
            {"mean over slots": [epoch.theta_entropy for epoch in epochs]},
        ),
        *_temperature(epochs),
        _chart(
            "Accuracy of the supernet, %",
            {"theta split": [epoch.theta_accuracy * 100 for epoch in epochs]},
        ),
    )


def theta_charts(epochs: Sequence[EpochResult], *, space: SearchSpace) -> tuple[SlotAreas, ...]:
    """P_theta of every candidate of every slot, one chart per slot."""
    charts = []
    for index, choice in enumerate(space.choices):
        slot = choice.slot
        blocks = [operator.block.name for operator in choice.candidates]
        shares = [epoch.theta[index] for epoch in epochs]
        last = dict(zip(blocks, shares[-1], strict=True))
        leading = max(last, key=last.__getitem__)
        areas = [
            Area(block, _staircase([sum(share[: place + 1]) for share in shares]), last[block])
            for place, block in enumerate(blocks)
        ]
        charts.append(SlotAreas(index + 1, slot.name, leading, last[leading], tuple(areas[::-1])))
    return tuple(charts)


def warmup_width(epochs: Sequence[EpochResult]) -> float:
    """How far into a line chart the epochs reach that left theta alone."""
    resting = sum(not epoch.trains_theta for epoch in epochs)
    return WIDTH * min(max(resting - 0.5, 0) / max(len(epochs) - 1, 1), 1)


def _temperature(epochs: Sequence[EpochResult]) -> tuple[Chart, ...]:
    """Nothing where whole paths were drawn, without a mask."""
    temperatures = [epoch.temperature for epoch in epochs if epoch.temperature is not None]
    return (_chart("Temperature", {"of the softmax": temperatures}),) if temperatures else ()


def _chart(
    title: str, series: Mapping[str, Sequence[float]], *, level: float | None = None
) -> Chart:
    values = [value for line in series.values() for value in line]
    drawn = values if level is None else [*values, level]
    heights = ticks(min(drawn), max(drawn))
    lowest, highest = heights[0], heights[-1]
    digits = max(0, -math.floor(math.log10(heights[1] - lowest) + 1e-9))

    def y(value: float) -> float:
        return round((highest - value) / (highest - lowest) * HEIGHT, 1)

    return Chart(
        title=title,
        curves=tuple(_curve(name, line, list(map(y, line))) for name, line in series.items()),
        ticks=tuple(Tick(y(height), f"{height:.{digits}f}") for height in heights),
        level=None if level is None else Tick(y(level), f"{level:.3g}"),
    )


def _curve(name: str, values: Sequence[float], heights: Sequence[float]) -> Curve:
    gaps = max(len(values) - 1, 1)
    points = [(round(index / gaps * WIDTH, 1), y) for index, y in enumerate(heights)]
    return Curve(
        name=name,
        points=" ".join(f"{x},{y}" for x, y in points),
        end=points[-1],
        last=f"{values[-1]:.3g}",
    )


def ticks(lowest: float, highest: float) -> list[float]:
    """Two round numbers or more, at equal distances, from `lowest` or less to `highest` or more.

    They are multiples of 1, 2, 5 or 10 times a power of ten.
    """
    span = highest - lowest or abs(highest) or 1.0
    power = 10.0 ** math.floor(math.log10(span / MOST_GAPS))
    for step in (power, 2 * power, 5 * power, 10 * power):
        first = math.floor(lowest / step + 1e-9)
        last = max(math.ceil(highest / step - 1e-9), first + 1)
        if last - first <= MOST_GAPS:
            break
    return [number * step for number in range(first, last + 1)]


def _staircase(heights: Sequence[float]) -> str:
    """The area under a staircase with one step per epoch, from the ground at the left."""
    edges = [AREA_HEIGHT - round(height * AREA_HEIGHT) for height in heights]
    return f"M0 {AREA_HEIGHT}" + "".join(f"V{edge}h1" for edge in edges) + f"V{AREA_HEIGHT}z"
