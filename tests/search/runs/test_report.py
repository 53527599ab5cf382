import math
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID

import pytest

from contract.blocks import FusedMBConv
from contract.levels import AtLevel, Level
from contract.networks import network
from contract.results import Layer, Sampled, SearchResult
from contract.spaces import space
from search.console import people_us
from search.dnas.figures import EpochResult
from search.runs.charts import block_colours, theta_charts, ticks
from search.runs.report import write_report
from search.tables.prediction import predicted_us
from tests.tables import table_of

SPACE = space("fbnet-224")
BLOCKS = tuple(block.name for block in SPACE.blocks)
TABLE = table_of(SPACE, lambda operator: 20 + operator.macs() / 25_000)
FIXED_US = sum(TABLE.latencies_us((SPACE.stem, SPACE.head)))


def epoch(number: int, *, of: int) -> EpochResult:
    """A made-up epoch of a search that settles on another block in each slot."""
    progress = max(0.0, number / of - 0.1)
    theta = []
    for index, choice in enumerate(SPACE.choices):
        count = len(choice.candidates)
        logits = [
            9 * progress * math.cos(place - index * 4 % count)
            + math.sin(number * place / 10) * progress
            for place in range(count)
        ]
        weights = [math.exp(logit) for logit in logits]
        theta.append(tuple(weight / sum(weights) for weight in weights))
    cross_entropy = 4.6 * math.exp(-2.5 * number / of) + 0.4
    expected_us = 21_000 - 9000 * progress
    factor = 0.2 * math.log(expected_us) ** 0.6
    return EpochResult(
        epoch=number,
        trains_theta=number > of / 10,
        temperature=5 * math.exp(-0.045 * 90 * number / of),
        weight_cross_entropy=cross_entropy,
        theta_cross_entropy=cross_entropy * 1.1,
        latency_term=factor,
        theta_loss=factor * cross_entropy * 1.1,
        theta_accuracy=1 - cross_entropy / 5.2,
        expected_latency_us=expected_us,
        theta_entropy=2.2 * (1 - progress),
        theta=tuple(theta),
        seconds=1.0,
    )


def report(
    path: Path,
    *,
    epochs: int,
    measured_us: float | None = None,
    at_level: AtLevel | None = None,
    target_us: float | None = None,
) -> str:
    history = [epoch(number, of=epochs) for number in range(1, epochs + 1)]
    shares = history[-1].theta
    blocks = [BLOCKS[share.index(max(share))] for share in shares]
    found = network(blocks, space=SPACE, name="searched")
    result = SearchResult(
        device=TABLE.device,
        runtime=TABLE.runtime,
        space=SPACE.name,
        seed=3,
        architecture=found.blocks,
        target_us=target_us,
        predicted_us=predicted_us(found.operators, TABLE),
        measured_us=measured_us,
        measured_at_level=at_level,
        macs=found.macs(),
        params=found.params(),
        accuracy=0.713,
        table_snapshot=TABLE.snapshot,
        layers=tuple(
            Layer(
                number=number,
                operator=operator.key,
                block=operator.block.name,
                probability=max(share),
                latency_us=latency_us,
            )
            for number, (operator, share, latency_us) in enumerate(
                zip(found.layers, shares, TABLE.latencies_us(found.layers), strict=True), start=1
            )
        ),
        samples=(Sampled(architecture=found.blocks, predicted_us=12_345.0),),
    )
    write_report(path, result, history, table=TABLE, space=SPACE)
    return path.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Counts tags, and fails where one is closed that is not open."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_the_page_shows_every_slot_and_needs_nothing_from_elsewhere(
    tmp_path: Path, epochs: int
) -> None:
    page = report(tmp_path / "report.html", epochs=epochs, measured_us=13_000, target_us=12_000)
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "script" not in tags.seen
    assert not re.search(r"https?:|@import|url\(|src=", page)
    assert page.count("P(theta) of slot") == 22
    assert len(re.findall("at the end</title>", page)) == sum(
        len(choice.candidates) for choice in SPACE.choices
    )
    assert all(colour in page for colour in block_colours(SPACE).values())
    for title in ("Cross entropy", "Latency term", "Expected latency", "Entropy", "Temperature"):
        assert title in page
    assert "nan" not in page.lower().replace("&#9632;", "")


def compared(page: str) -> dict[str, str]:
    """The latencies that stand beside each other."""
    rows = re.findall(
        r'<span>([^<]+)</span>\s*<i [^>]*></i>\s*<span class="number">([^<]+)</span>', page
    )
    return {unescape(name): told for name, told in rows}


def test_predicted_stands_beside_measured_and_target(tmp_path: Path) -> None:
    page = report(tmp_path / "full.html", epochs=3, measured_us=13_000, target_us=12_000)
    assert compared(page).keys() == {"target", "predicted", "measured"}
    assert compared(page)["target"] == "12.00 ms"
    assert compared(page)["measured"].startswith("13.00 ms (")
    assert "- - target 12" in page
    alone = report(tmp_path / "alone.html", epochs=3)
    assert "not yet" in alone
    assert "target" not in alone.split("<body>")[1]


def test_the_difference_is_told_at_the_tables_level(tmp_path: Path) -> None:
    at_level = AtLevel(
        level=Level(session=UUID(int=1), factor=1.04, low=1.03, high=1.05, references=6),
        latency_us=12_500,
        low_us=12_400,
        high_us=12_600,
    )
    page = report(tmp_path / "full.html", epochs=3, measured_us=13_000, at_level=at_level)
    told = compared(page)
    assert told["measured"] == "13.00 ms"
    assert told["at the table's level"].startswith("12.50 ms (")
    assert "took 1.040 times as long as in its table" in page


def test_the_fixed_part_is_told_apart_from_the_layers(tmp_path: Path) -> None:
    page = report(tmp_path / "report.html", epochs=2)
    assert SPACE.stem.key in page
    assert SPACE.head.key in page
    assert f"nobody chose, take {people_us(FIXED_US)} of" in page


def test_areas_stack_to_one_in_every_epoch() -> None:
    history = [epoch(number, of=4) for number in range(1, 5)]
    for chart, choice in zip(theta_charts(history, space=SPACE), SPACE.choices, strict=True):
        assert [area.block for area in chart.areas] == [
            operator.block.name for operator in reversed(choice.candidates)
        ]
        assert chart.areas[0].path == "M0 1000V0h1V0h1V0h1V0h1V1000z"
        assert chart.probability == max(area.last for area in chart.areas)


def test_each_block_has_its_own_colour() -> None:
    fused = tuple(FusedMBConv(kernel_size=3, expansion=each) for each in (1, 2.5))
    for space_ in (SPACE, SPACE.evolve(candidates=(*SPACE.blocks, *fused))):
        colours = block_colours(space_)
        assert list(colours) == [block.name for block in space_.blocks]
        assert len(set(colours.values())) == len(colours)


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (0.4, 4.6, [0, 1, 2, 3, 4, 5]),
        (12.0, 21.0, [12, 14, 16, 18, 20, 22]),
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3.0, 3.0, [3, 3.1]),
        (0.0, 0.0, [0, 0.1]),
    ],
)
def test_ticks_are_round_and_enclose_what_is_drawn(
    lowest: float, highest: float, expected: list[float]
) -> None:
    found = ticks(lowest, highest)
    assert found == pytest.approx(expected)
    assert found[0] <= lowest <= highest <= found[-1]
