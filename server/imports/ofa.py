"""The look-up tables of ProxylessNAS and Once-for-All: YAML, a key per operator, `mean` in ms.

They time the parts of a head alone: 1x1 convolution, and in Once-for-All's average, another
convolution and classifier; in ProxylessNAS' all else together. A head of ours is their sum.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import yaml

from contract.operators import Operator
from contract.spaces import SearchSpace
from server.imports.ofa_keys import Key, head_of_parts, name_of, operators_of, parsed
from server.imports.operators import Unmapped, Vocabulary, shipped
from server.imports.rows import Found, Rejected, Source, latency_us

_PARTS = ("Conv_1", "AvgPool2D", "Conv_2", "Logits")  # of a head


class _Row(NamedTuple):
    """An entry that may be one of these operators."""

    place: str
    name: str
    us: float
    operators: tuple[Operator, ...]


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """An entry that is a part of a head."""

    place: str
    name: str
    us: float
    key: Key


_Entry = _Row | _Part | Rejected


def dump(latencies_us: Mapping[str, float]) -> str:
    """Operators' latencies by their keys, as YAML in the same order."""
    known = shipped().operators
    lines = [
        f"{name_of(known[key]) if key in known else key}: {{mean: {_ms(us)}, count: 1}}\n"
        for key, us in latencies_us.items()
    ]
    return "".join(lines) or "{}\n"


def load(text: str, source: Source, vocabulary: Vocabulary) -> None:
    """Book every entry of the file as found or rejected, by its line.

    Raises:
        ValueError: it is not YAML, or not a mapping.
    """
    entries = _with_whole_heads([_entry(*each, vocabulary) for each in _written(text)], vocabulary)
    rows = [each for each in entries if isinstance(each, _Row)]
    spaces = vocabulary.by_rows(
        [frozenset(operator.key for operator in row.operators) for row in rows]
    )
    for each in entries:
        match each:
            case Rejected():
                source.reject(each)
            case _Row(place, name, us, operators):
                try:
                    source.add(Found(place, _of_first(spaces, operators, vocabulary), us))
                except Unmapped as error:
                    source.reject(Rejected(place, name, str(error)))


def _written(text: str) -> Iterator[tuple[str, str, yaml.Node]]:
    """Each entry's place, key and figures."""
    try:
        # The tree alone: nothing is built from tags, and an alias is not copied out.
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, yaml.MappingNode):
        raise ValueError("it has no mapping of operators to figures")
    for key, value in document.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        yield f"line {key.start_mark.line + 1}", name, value


def _entry(place: str, name: str, value: yaml.Node, vocabulary: Vocabulary) -> _Entry:
    try:
        if name.partition("-")[0] in _PARTS:
            return _Part(place, name, latency_us(_mean(value), per_us=1000), parsed(name))
        operators = operators_of(name, vocabulary)
        return _Row(place, name, latency_us(_mean(value), per_us=1000), operators)
    except Unmapped as error:
        return Rejected(place, name, str(error))


def _with_whole_heads(entries: list[_Entry], vocabulary: Vocabulary) -> list[_Row | Rejected]:
    """The parts of each head put together, in the place of the first; those of none rejected."""
    parts = [each for each in entries if isinstance(each, _Part)]
    rows: dict[_Part, _Row | Rejected | None] = {
        part: Rejected(part.place, part.name, "a part of a head whose other parts are not there")
        for part in parts
    }
    for first in parts:
        if first.key.layer != "Conv_1":
            continue
        whole = _whole(first, parts)
        if whole is None:
            continue
        used, hidden = whole
        size, _, channels = first.key.shape_in
        wide, classes = first.key.shape_out[-1], used[-1].key.shape_out[-1]
        try:
            operators = head_of_parts(size, channels, wide, hidden, classes, vocabulary)
        except Unmapped as error:
            reason = f"a part of a head: {error}"
            rows |= {part: Rejected(part.place, part.name, reason) for part in used}
            continue
        us = round(sum(part.us for part in used), 4)
        rows |= dict.fromkeys(used)
        rows[first] = _Row(first.place, " + ".join(part.name for part in used), us, operators)
    settled = [rows[each] if isinstance(each, _Part) else each for each in entries]
    return [each for each in settled if each is not None]


def _whole(first: _Part, parts: list[_Part]) -> tuple[list[_Part], int | None] | None:
    """The parts of the head that begins with this convolution, and its hidden channels."""
    if len(first.key.shape_in) != 3 or len(first.key.shape_out) != 3:
        return None
    after = first.key.shape_out
    wide = after[-1]

    def find(layer: str, shape_in: tuple[int, ...]) -> _Part | None:
        return next((p for p in parts if (p.key.layer, p.key.shape_in) == (layer, shape_in)), None)

    logits = find("Logits", after)
    if logits is not None:
        return [first, logits], None
    average, hidden = find("AvgPool2D", after), find("Conv_2", (1, 1, wide))
    if average is None or hidden is None:
        return None
    logits = find("Logits", hidden.key.shape_out)
    if logits is None:
        return None
    return [first, average, hidden, logits], hidden.key.shape_out[-1]


def _of_first(
    spaces: list[SearchSpace], operators: tuple[Operator, ...], vocabulary: Vocabulary
) -> Operator:
    """The operator of the first space that has one of them."""
    return next(
        operator
        for each in spaces
        for operator in operators
        if operator.key in vocabulary.keys_of(each.name)
    )


def _mean(value: yaml.Node) -> str:
    if isinstance(value, yaml.MappingNode):
        for field, figure in value.value:
            if field.value == "mean" and isinstance(figure, yaml.ScalarNode):
                return str(figure.value)
    raise Unmapped("it has no field `mean`")


def _ms(us: float) -> str:
    """As many digits as figures keep."""
    return f"{us / 1000:.7f}".rstrip("0").rstrip(".")
