"""HW-NAS-Bench (Li et al. 2021, arXiv:2103.10584): FBNet's blocks on several devices, in ms.

A file is either `{"fbnet": {metric: {key: ms}}}`, as the benchmark's own, or `{key: ms}`. A head
is the sum of its three parts there: 1x1 convolution, average, fully connected layer.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from contract.slots import Slot
from server.imports.operators import Unmapped, Vocabulary
from server.imports.rows import Found, Rejected, Source, latency_us

_KEY = re.compile(r"(?P<layer>[A-Za-z]{1,20})(?P<fields>(_[A-Za-z]{1,10}[0-9]{1,6})+)")
_FIELD = re.compile(r"_([A-Za-z]{1,10})([0-9]{1,6})")


def load(document: object, source: Source, vocabulary: Vocabulary, *, metric: str | None) -> None:
    """Book every entry as found or rejected, by its key.

    Raises:
        ValueError: it is not such a table, or the metric is missing or no latency.
    """
    table = _table(document, metric)
    heads = _Heads(source, vocabulary)
    for name, value in table.items():
        try:
            layer, fields = _parsed(name)
            ms = latency_us(value, per_us=1000)
            if not heads.take(name, layer, fields, ms):
                source.add(Found(name, vocabulary.known(*_block(layer, fields)), ms))
        except Unmapped as error:
            source.reject(Rejected("key", name, str(error)))
    heads.add()


def _table(document: object, metric: str | None) -> Mapping[str, Any]:
    if isinstance(document, dict) and isinstance(document.get("fbnet"), dict):
        metrics = document["fbnet"]
        names = sorted(str(name) for name in metrics)
        if metric is None or metric not in metrics:
            fault = f"it has no metric {metric!r}" if metric else "it has several metrics"
            raise ValueError(f"{fault}; name one with --metric: {', '.join(names)}")
        document = metrics[metric]
    if metric is not None and not metric.endswith("_latency"):
        raise ValueError(f"{metric} is no latency; name another with --metric")
    if not isinstance(document, dict) or not all(isinstance(name, str) for name in document):
        raise ValueError("it has neither `fbnet` with its metrics nor keys with their ms")
    return document


def _parsed(name: str) -> tuple[str, dict[str, int]]:
    match = _KEY.fullmatch(name)
    if match is None:
        raise Unmapped("the key is not of the form LAYER_H7_W7_Cin16_...")
    return match["layer"], {key: int(value) for key, value in _FIELD.findall(match["fields"])}


def _block(layer: str, fields: Mapping[str, int]) -> tuple[dict[str, str | int], Slot]:
    if layer == "Skip":
        raise Unmapped(
            "a skip that keeps the shape costs 0 us by definition, and another is no candidate"
        )
    if layer not in ("ConvNorm", "ConvBlock"):
        raise Unmapped(f"no operator of ours is a {layer}")
    slot = _slot(fields)
    if layer == "ConvBlock":
        return {
            "kind": "mbconv",
            "kernel_size": _field(fields, "kernel"),
            "expansion": _field(fields, "exp"),
            "groups": _field(fields, "group"),
        }, slot
    if _field(fields, "kernel") != 3 or _field(fields, "group") != 1:
        raise Unmapped("our stem is a 3x3 convolution without groups")
    return {"kind": "stem"}, slot


def _slot(fields: Mapping[str, int]) -> Slot:
    size = _size(fields)
    try:
        return Slot(
            in_channels=_field(fields, "Cin"),
            out_channels=_field(fields, "Cout"),
            input_size=size,
            stride=_field(fields, "stride"),
        )
    except ValueError as error:
        raise Unmapped("a channel, a size or a stride is 0") from error


class _Heads:
    """Collects the parts of heads, in us by their shapes, until all are read."""

    def __init__(self, source: Source, vocabulary: Vocabulary) -> None:
        self._source = source
        self._vocabulary = vocabulary
        # (channels in, channels, size), (channels, size), (channels, classes)
        self._pointwise: dict[tuple[int, int, int], tuple[str, float]] = {}
        self._average: dict[tuple[int, int], tuple[str, float]] = {}
        self._connected: dict[tuple[int, int], tuple[str, float]] = {}

    def take(self, name: str, layer: str, fields: Mapping[str, int], us: float) -> bool:
        """Whether that is a part of a head."""
        if layer == "ConvNorm" and fields.get("kernel") == 1:
            if (fields.get("stride"), fields.get("group")) != (1, 1):
                raise Unmapped("the convolution of our head has stride 1 and no groups")
            channels = _field(fields, "Cin"), _field(fields, "Cout")
            self._pointwise[(*channels, _size(fields))] = name, us
        elif layer == "AvgP":
            if fields.get("kernel") != _size(fields) or fields.get("Cin") != fields.get("Cout"):
                raise Unmapped("our head averages over all positions of each channel")
            self._average[_field(fields, "Cin"), _size(fields)] = name, us
        elif layer == "FC":
            self._connected[_field(fields, "Cin"), _field(fields, "Cout")] = name, us
        else:
            return False
        return True

    def add(self) -> None:
        """Book every head of which all parts are there; reject the parts of others."""
        used = set()
        for parts, block, slot in self._whole():
            names = [name for name, _ in parts]
            used.update(names)
            try:
                whole = self._vocabulary.known(block, slot)
                us = round(sum(us for _, us in parts), 4)
                self._source.add(Found(" + ".join(names), whole, us))
            except Unmapped as error:
                self._source.reject(Rejected("keys", " + ".join(names), str(error)))
        for part in (self._pointwise, self._average, self._connected):
            for name, _ in part.values():
                if name not in used:
                    reason = "a part of a head whose other parts are not there"
                    self._source.reject(Rejected("key", name, reason))

    def _whole(
        self,
    ) -> Iterator[tuple[list[tuple[str, float]], dict[str, str | int], Slot]]:
        for (channels_in, channels, size), pointwise in self._pointwise.items():
            average = self._average.get((channels, size))
            for (channels_of, classes), connected in self._connected.items():
                if channels_of == channels and average is not None:
                    slot = Slot(
                        in_channels=channels_in,
                        out_channels=classes,
                        input_size=size,
                        stride=size,
                    )
                    parts = [pointwise, average, connected]
                    yield parts, {"kind": "head", "channels": channels}, slot


def _size(fields: Mapping[str, int]) -> int:
    if _field(fields, "H") != _field(fields, "W"):
        raise Unmapped("the image is not square")
    return fields["H"]


def _field(fields: Mapping[str, int], name: str) -> int:
    if not fields.get(name):
        raise Unmapped(f"the key has no {name}" if name not in fields else f"{name} is 0")
    return fields[name]
