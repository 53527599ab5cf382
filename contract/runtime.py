"""What besides device and operator changes a timing, and how a person names it."""

import re
from functools import cached_property
from typing import Literal, Self

from pydantic import Field

from contract.errors import PhonebookError
from contract.values import Value

Dtype = Literal["float32", "int8"]
MemoryFormat = Literal["contiguous", "channels_last"]
Runner = Literal["native", "python", "ndk"]
Protocol = Literal["in_situ", "isolated"]


class Runtime(Value):
    """What besides device and operator changes a timing.

    Two timings are comparable only where these are equal; a table holds exactly one.
    """

    # foreign: some other program's, so that of an imported row only dtype and threads mean
    # something, and ExecuTorch's version is 0.
    backend: Literal["xnnpack", "foreign"] = "xnnpack"
    dtype: Dtype
    threads: int = Field(ge=1, le=9999)
    memory_format: MemoryFormat
    executorch: str = Field(pattern=r"^[0-9][0-9A-Za-z.+]*$", max_length=50)  # version
    runner: Runner
    affinity: str = Field(  # CPUs the runner may use
        pattern=r"^(any|cpu[0-9]+(\.[0-9]+)*)$", max_length=100
    )
    protocol: Protocol

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
        return tuple(int(number) for number in re.findall(r"[0-9]+", self.affinity))

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
            ("--cpus", ",".join(map(str, self.cpus)), ""),
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
