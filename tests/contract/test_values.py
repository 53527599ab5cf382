"""Values take what they say, and nothing that merely looks like it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contract.timings import Conditions, DeviceDescription

PHONE = {"model": "A", "soc": "B", "cores": 8, "memory_bytes": 2**33, "os": "C"}
STATE = {"load_1min": 0.5, "clock_mhz": 2400, "temperature_c": None}


@pytest.mark.parametrize("cores", ["8", True, 8.0, None, [8]])
def test_a_count_is_a_whole_number(cores: Any) -> None:
    with pytest.raises(ValidationError, match="cores"):
        DeviceDescription.model_validate({**PHONE, "cores": cores})
    with pytest.raises(ValidationError, match="cores"):
        DeviceDescription.model_validate_json(json.dumps({**PHONE, "cores": cores}))


@pytest.mark.parametrize(
    ("field", "value"),
    [("load_1min", "0.5"), ("clock_mhz", True), ("is_charging", 1), ("is_charging", "true")],
)
def test_text_is_no_number_and_a_number_no_truth_value(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        Conditions.model_validate({**STATE, field: value})


def test_a_whole_number_is_a_number() -> None:
    assert Conditions.model_validate({**STATE, "load_1min": 1}).load_1min == 1.0
