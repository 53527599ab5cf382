"""What besides device and operator changes a timing, and how a person names it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from cyclopts import Parameter, Token, validators
from pydantic import Field, model_validator

from contract.errors import PhonebookError
from contract.values import Value

# foreign: some other program's, so that of an imported row only dtype and threads mean something,
# and ExecuTorch's version is 0.
BackendName = Literal["xnnpack", "foreign"]
Dtype = Literal["float32", "int8"]
MemoryFormat = Literal["contiguous", "channels_last"]
Runner = Literal["native", "python", "ndk"]
Protocol = Literal["in_situ", "isolated"]

TRACED: frozenset[Protocol] = frozenset({"in_situ"})  # by the events of a delegate


MOST_AFFINITY = 100  # letters of an affinity, on the wire and in databases

_NUMBER = r"[0-9]{1,4}"  # no system has more CPUs, and who writes a range is not to name billions
_RANGE = rf"{_NUMBER}(to{_NUMBER})?"


def _cpu_numbers(_: Any, tokens: Sequence[Token]) -> tuple[int, ...]:
    """Raises PhonebookError where it is no list of numbers and ranges."""
    cpus = tokens[0].value
    piece = _RANGE.replace("to", "-")
    if re.fullmatch(rf"{piece}(,{piece})*", cpus):
        numbers = _numbers(cpus.replace("-", "to").split(","))
        if numbers is not None:
            return numbers
    raise PhonebookError(
        f"--cpus {cpus!r}: give numbers and ranges with commas between them, as in 0,1 or 0-3,7"
    )


def _numbers(pieces: Sequence[str]) -> tuple[int, ...] | None:
    """`0to3` and `7` as numbers; None where a range ends before it begins."""
    ends = [
        (int(first), int(last or first)) for first, _, last in (p.partition("to") for p in pieces)
    ]
    if any(last < first for first, last in ends):
        return None
    return tuple(number for first, last in ends for number in range(first, last + 1))


def affinity_of(cpus: Collection[int]) -> str:
    """How a runtime names the CPUs that a runner may use: `any` where it names none, `cpu0.1`, and
    `cpu0to39.41` where many would make it too long.

    Keys of stored rows hold it: what it was for a set of CPUs, it stays.
    """
    if not cpus:
        return "any"
    known = set(cpus)
    numbers = sorted(known)
    each = f"cpu{'.'.join(map(str, numbers))}"
    if len(each) <= MOST_AFFINITY:
        return each
    starts = [number for number in numbers if number - 1 not in known]
    ends = [number for number in numbers if number + 1 not in known]
    pairs = zip(starts, ends, strict=True)
    return f"cpu{'.'.join(str(a) if a == b else f'{a}to{b}' for a, b in pairs)}"


def cpu_list(cpus: Collection[int]) -> str:
    """As `--cpus` takes it."""
    return affinity_of(cpus).removeprefix("cpu").replace("to", "-").replace(".", ",")


Cpus = Annotated[
    tuple[int, ...], Parameter(converter=_cpu_numbers, n_tokens=1, negative="", show_default=False)
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeRequest:
    """What a device is asked to measure under; it says the rest itself, such as its versions.

    Without a `runner` it is the native one where that can be had. Without `cpus` the runner may
    use any, on a phone the fastest. The fields are options of the agent's commands.
    """

    dtype: Annotated[Dtype, Parameter(help="Of weights and activations.")] = "float32"
    threads: Annotated[
        int, Parameter(help="Of ExecuTorch's pool.", validator=validators.Number(gte=1))
    ] = 1
    memory_format: Annotated[
        MemoryFormat, Parameter(help="Of the image that goes into a program.")
    ] = "contiguous"
    runner: Annotated[
        Runner | None,
        Parameter(help="What times the programs [default: native where it can be built]."),
    ] = None
    cpus: Annotated[
        Cpus, Parameter(help="Bind the runner to these CPUs, as in 0,1 or 0-3,7 [default: any].")
    ] = ()
    protocol: Annotated[
        Protocol,
        Parameter(help="Operators inside whole networks (in_situ), or each alone (isolated)."),
    ] = "in_situ"
    backend: Annotated[BackendName, Parameter(parse=False)] = "xnnpack"

    @property
    def is_traced(self) -> bool:
        """Whether operators inside a program are to be timed."""
        return self.protocol in TRACED

    def granted(self, *, executorch: str, runner: Runner, cpus: Sequence[int] = ()) -> "Runtime":
        """The runtime of a device that does what was asked, with that runner, on those CPUs.

        Raises:
            PhonebookError: the CPUs have too long a name.
        """
        affinity = affinity_of(cpus)
        if len(affinity) > MOST_AFFINITY:
            raise PhonebookError(
                f"--cpus {cpu_list(cpus)}: so many ranges have too long a name for a table; "
                "choose CPUs that follow each other"
            )
        return Runtime(
            backend=self.backend,
            dtype=self.dtype,
            threads=self.threads,
            memory_format=self.memory_format,
            executorch=executorch,
            runner=runner,
            affinity=affinity,
            protocol=self.protocol,
        )


class Runtime(Value):
    """What besides device and operator changes a timing.

    Two timings are comparable only where these are equal; a table holds exactly one.
    """

    backend: BackendName = "xnnpack"
    dtype: Dtype
    threads: int = Field(ge=1, le=9999)
    memory_format: MemoryFormat
    executorch: str = Field(pattern=r"^[0-9][0-9A-Za-z.+]*$", max_length=50)  # version
    runner: Runner
    affinity: str = Field(  # CPUs the runner may use
        pattern=rf"^(any|cpu[0-9]+(\.[0-9]+)*|cpu{_RANGE}(\.{_RANGE})*)$",
        max_length=MOST_AFFINITY,
    )
    protocol: Protocol

    @model_validator(mode="after")
    def _ranges_are_for_many(self) -> Self:
        if "to" in self.affinity and self.affinity != affinity_of(self.cpus):
            raise ValueError(f"those CPUs are called {affinity_of(self.cpus)}")
        return self

    @cached_property
    def key(self) -> str:
        """`xnnpack-float32-t1-contiguous-et1.5.1-python-any-isolated`, the form in URLs."""
        return (
            f"{self.backend}-{self.dtype}-t{self.threads}-{self.memory_format}"
            f"-et{self.executorch}-{self.runner}-{self.affinity}-{self.protocol}"
        )

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs of `affinity`; none means any."""
        if self.affinity == "any":
            return ()
        return _numbers(self.affinity.removeprefix("cpu").split(".")) or ()

    @property
    def request(self) -> RuntimeRequest:
        """What a device is asked for that is to measure under this runtime."""
        return RuntimeRequest(
            dtype=self.dtype,
            threads=self.threads,
            memory_format=self.memory_format,
            runner=self.runner,
            cpus=self.cpus,
            protocol=self.protocol,
            backend=self.backend,
        )

    @property
    def options(self) -> tuple[str, ...]:
        """What the agent's commands need to be told to measure under this runtime.

        Nothing for one thread in float32 from a contiguous image, in situ, by the native runner
        on any CPU.
        """
        choices = (
            ("--dtype", self.dtype, "float32"),
            ("--threads", str(self.threads), "1"),
            ("--memory-format", self.memory_format, "contiguous"),
            ("--protocol", self.protocol, "in_situ"),
            ("--runner", self.runner, "native"),
            ("--cpus", cpu_list(self.cpus) if self.cpus else "", ""),
        )
        return tuple(
            word for option, value, usual in choices if value != usual for word in (option, value)
        )

    @classmethod
    def parse(cls, key: str) -> Self:
        """The runtime with that key.

        Raises:
            ValueError: not a runtime's key.
        """
        match = re.fullmatch(
            r"(?P<backend>[^-]+)-(?P<dtype>[^-]+)-t(?P<threads>[0-9]{1,4})-(?P<memory_format>[^-]+)"
            r"-et(?P<executorch>[^-]+)-(?P<runner>[^-]+)-(?P<affinity>[^-]+)-(?P<protocol>[^-]+)",
            key,
        )
        if match is None:
            raise ValueError(
                f"{key!r} is no runtime; one looks like "
                "xnnpack-float32-t1-contiguous-et1.5.1-python-any-isolated"
            )
        return cls.model_validate({**match.groupdict(), "threads": int(match["threads"])})


def runtime_of(key: str) -> Runtime:
    """The runtime that a person named by its key.

    Raises:
        PhonebookError: not a runtime's key.
    """
    try:
        return Runtime.parse(key)
    except ValueError as error:
        raise PhonebookError(
            f"--runtime: {key!r} is no runtime; one looks like "
            "xnnpack-float32-t1-contiguous-et1.5.1-native-any-in_situ"
        ) from error
