"""What Phonebook needs to know of a backend: the part of ExecuTorch that runs a program fast."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contract.networks import Network
from contract.runtime import BackendName, Dtype


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """One backend.

    Attributes:
        name: as a runtime calls it.
        delegate: as a runner calls each part of a program that it runs.
        tolerances: by the dtypes that it can lower, how far an output may lie from eager
            PyTorch's, of the largest expected value.
        leaves: operators that it leaves to ExecuTorch's portable kernels, as it should.
        partitioner: makes what chooses the parts of a graph that the backend runs.
        quantizer: makes what says where an int8 program quantises. Both load torch, so they are
            called where a program is exported, and nowhere else.
        owners: to which of a network's operators each event of a trace belongs, as indices, of
            the events' names. Raises ProgramFailed where the events are not this network's. None
            where the backend reports no events.
    """

    name: BackendName
    delegate: str
    tolerances: Mapping[Dtype, float]
    leaves: frozenset[str] = frozenset()
    partitioner: Callable[[], Any]
    quantizer: Callable[[], Any]
    owners: Callable[[Network, Sequence[str]], Sequence[int]] | None
