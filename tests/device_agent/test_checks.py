"""Outputs: like is compared with like, as closely as the dtype allows."""

from pathlib import Path

import numpy as np
import pytest

from contract.runtime import Dtype
from device_agent.backends.xnnpack.backend import XNNPACK
from device_agent.device import ProgramFailed, ProgramFile, ProgramTiming
from device_agent.measuring.checks import check_output

EXPECTED = np.linspace(-10, 10, 9, dtype=np.float32)


@pytest.mark.parametrize(
    ("dtype", "passes", "fails"), [("float32", 0.005, 0.02), ("int8", 1.0, 3.0)]
)
def test_the_tolerance_is_the_dtypes(
    tmp_path: Path, dtype: Dtype, passes: float, fails: float
) -> None:
    file = ProgramFile(tmp_path / "program.pte")
    file.expected_output.write_bytes(EXPECTED.tobytes())
    tolerance = XNNPACK.tolerances[dtype]
    check_output(timing(EXPECTED + np.float32(passes)), file, tolerance=tolerance)
    with pytest.raises(ProgramFailed, match="differs from eager PyTorch") as failed:
        check_output(
            timing(EXPECTED + np.float32(fails)), file, tolerance=XNNPACK.tolerances[dtype]
        )
    assert failed.value.code == "wrong_output"


def timing(output: np.ndarray) -> ProgramTiming:
    return ProgramTiming(
        samples_ns=(1,),
        probes_ns=(1, 1),
        first_run_ns=1,
        load_ns=1,
        output=output.tobytes(),
        delegates=("XnnpackBackend",),
        events=(),
    )
