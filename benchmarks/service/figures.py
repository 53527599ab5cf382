"""What was found, line by line, and whether it is what the product promises."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

SCREEN = Console(highlight=False, width=120)  # in a log too


@dataclass(frozen=True)
class Figure:
    """One line: our side, the other side, and the number that a bar is for, if there is one."""

    what: str
    this: str
    against: str
    number: float
    least: float | None = None
    most: float | None = None

    @property
    def bar(self) -> str:
        if self.least is not None:
            return f">= {self.least:g}"
        return "" if self.most is None else f"<= {self.most:g}"

    @property
    def missed(self) -> bool:
        return (self.least is not None and self.number < self.least) or (
            self.most is not None and self.number > self.most
        )


@dataclass
class Report:
    """The lines of one database, printed as a table."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def add(self, figures: Sequence[Figure]) -> None:
        self.figures += figures

    def print(self, *, bars: bool) -> int:
        """Print everything; how many bars were missed."""
        table = Table(title=self.title)
        for column in ("", "this", "against", "figure"):
            table.add_column(column, justify="right" if column else "left", no_wrap=True)
        if bars:
            table.add_column("bar", justify="right")
            table.add_column("")
        for figure in self.figures:
            verdict = (figure.bar, "missed" if figure.missed else "") if bars else ()
            number = f"{figure.number:.3g}" if figure.number < 100 else f"{figure.number:,.0f}"
            table.add_row(figure.what, figure.this, figure.against, number, *verdict)
        SCREEN.print(table)
        SCREEN.print(
            f"load {self.load_before:.1f} to {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n"
        )
        return sum(figure.missed for figure in self.figures)
