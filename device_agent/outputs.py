"""What a device computed, against what eager PyTorch did."""

from collections.abc import Mapping

import numpy as np

from contract.runtime import Dtype
from device_agent.devices import ProgramFailed, ProgramTiming
from device_agent.programs import ProgramFile

# Of the largest expected value. XNNPACK's float32 differs from eager by about 1e-6. In int8 it
# rounds some values otherwise: an operator's output by one step, 0.008, a network's by up to 0.05.
TOLERANCE: Mapping[Dtype, float] = {"float32": 1e-3, "int8": 0.2}


def check_output(timing: ProgramTiming, file: ProgramFile, dtype: Dtype) -> None:
    """Compare a float32 output with the program's expected one, which was made in that dtype.

    Raises:
        ProgramFailed: the output differs, in size or in value.
    """
    expected = np.frombuffer(file.expected_output.read_bytes(), dtype=np.float32)
    if len(timing.output) != expected.nbytes:
        raise ProgramFailed(
            "wrong_output", f"{len(timing.output)} bytes of output, expected {expected.nbytes}"
        )
    found = np.frombuffer(timing.output, dtype=np.float32)
    difference = float(np.max(np.abs(found - expected)))
    allowed = TOLERANCE[dtype] * float(np.max(np.abs(expected)))
    if not difference <= allowed:
        raise ProgramFailed(
            "wrong_output",
            f"differs from eager PyTorch by {difference:.3g}, allowed {allowed:.3g}",
        )
