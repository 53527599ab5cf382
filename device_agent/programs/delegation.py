"""What of an exported program runs in a backend, and what is left to ExecuTorch's own kernels."""

from typing import Self

from contract.values import Value
from device_agent.device import ProgramFile


class Delegation(Value):
    """The backend of each delegate, and each operator that is called outside of them, in order."""

    delegates: tuple[str, ...]
    outside: tuple[str, ...] = ()

    @classmethod
    def of(cls, file: ProgramFile) -> Self:
        """As the exporter wrote it beside the program."""
        return cls.model_validate_json(file.delegation.read_bytes())
