"""Networks of several targets, each on every device: where a device's own is not the best."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Standing(NamedTuple):
    """A network: what it was searched for, how good it is, and its latency on each target."""

    target: str
    accuracy: float
    latency_us: Mapping[str, float]


class Rival(NamedTuple):
    """A network that is faster on a target than the one that was searched for it, or as fast and
    more accurate."""

    target: str
    own: Standing
    other: Standing

    @property
    def beats(self) -> bool:
        """Whether it is no less accurate either."""
        return self.other.accuracy >= self.own.accuracy

    def sentence(self, duration: Callable[[float], str]) -> str:
        """What a person is told; `duration` writes a latency in us."""
        own, other = self.own, self.other
        verb = "beats" if self.beats else "is faster, though less accurate, than"
        return (
            f"on {self.target} the network searched for {other.target} {verb} its own: "
            f"{duration(other.latency_us[self.target])} against "
            f"{duration(own.latency_us[self.target])}, "
            f"accuracy {other.accuracy:.1%} against {own.accuracy:.1%}"
        )


def rivals(networks: Sequence[Standing]) -> list[Rival]:
    """Every such network, those first that beat the target's own."""
    found: list[Rival] = []
    for own in networks:
        for other in networks:
            us, own_us = other.latency_us.get(own.target), own.latency_us.get(own.target)
            if us is None or own_us is None:
                continue
            is_faster = us < own_us
            is_better = us == own_us and other.accuracy > own.accuracy
            if is_faster or is_better:
                found.append(Rival(own.target, own, other))
    return sorted(found, key=lambda rival: not rival.beats)
