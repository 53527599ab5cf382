"""What a device computed and by what, against what eager PyTorch did and the exporter lowered."""

from collections.abc import Sequence

from contract.runtime import Runtime
from device_agent.backends.backend import Backend
from device_agent.backends.registry import backend_of
from device_agent.device import ProgramFailed, ProgramFile, ProgramTiming
from device_agent.programs.delegation import Delegation


def check_timing(timing: ProgramTiming, file: ProgramFile, runtime: Runtime) -> None:
    """
    Raises:
        ProgramFailed: another output than the program's, or the backend did not run all of it.
    """
    backend = backend_of(runtime.backend)
    check_output(timing, file, tolerance=backend.tolerances[runtime.dtype])
    check_delegated(timing, file, backend)


def check_output(timing: ProgramTiming, file: ProgramFile, *, tolerance: float) -> None:
    """Compare a float32 output with the program's expected one, which was made in that dtype.

    `tolerance` is a share of the largest expected value.

    Raises:
        ProgramFailed: the output differs, in size or in value.
    """
    import numpy as np  # of which whoever asks for help needs nothing

    expected = np.frombuffer(file.expected_output.read_bytes(), dtype=np.float32)
    if len(timing.output) != expected.nbytes:
        raise ProgramFailed(
            "wrong_output", f"{len(timing.output)} bytes of output, expected {expected.nbytes}"
        )
    found = np.frombuffer(timing.output, dtype=np.float32)
    difference = float(np.max(np.abs(found - expected)))
    allowed = tolerance * float(np.max(np.abs(expected)))
    if not difference <= allowed:
        raise ProgramFailed(
            "wrong_output",
            f"differs from eager PyTorch by {difference:.3g}, allowed {allowed:.3g}",
        )


def check_delegated(timing: ProgramTiming, file: ProgramFile, backend: Backend) -> None:
    """See that the backend ran every operator that it does not leave to others.

    A program without operators, such as a skip's, has no delegate and needs none.

    Raises:
        ProgramFailed: something else ran a part, so that the timing is not the backend's.
    """
    delegation = Delegation.of(file)
    left = dict.fromkeys(each for each in delegation.outside if each not in backend.leaves)
    if left:
        raise ProgramFailed("not_delegated", f"outside of {backend.name} ran: {', '.join(left)}")
    if timing.delegates != delegation.delegates:
        raise ProgramFailed(
            "not_delegated",
            f"the runner found delegates {_listed(timing.delegates)}, and the program was "
            f"exported with {_listed(delegation.delegates)}",
        )
    others = set(timing.delegates) - {backend.delegate}
    if others:
        raise ProgramFailed("not_delegated", f"{_listed(sorted(others))} ran, not {backend.name}")


def _listed(delegates: Sequence[str]) -> str:
    return ", ".join(delegates) or "none"
