"""Values take what they say, and nothing that merely looks like it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contract.blocks import MBConv
from contract.devices import Conditions, DeviceDescription
from contract.operators import Operator
from contract.runtime import Runtime
from contract.spaces import space

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


def test_what_evolves_has_an_identity_of_its_own() -> None:
    """Also where the one it comes from was asked for its own before."""
    runtime = Runtime.parse("xnnpack-float32-t1-contiguous-et1.5.1-native-any-in_situ")
    assert runtime.key
    assert runtime.evolve(threads=4) == Runtime.parse(runtime.key.replace("-t1-", "-t4-"))
    assert runtime.evolve(threads=4).key == runtime.key.replace("-t1-", "-t4-")

    operator = Operator(block=MBConv(kernel_size=3, expansion=1), slot=space("fbnet-32").slots[0])
    assert operator.key.startswith("k3_e1-")
    wider = operator.evolve(block=MBConv(kernel_size=5, expansion=1))
    assert wider.key == operator.key.replace("k3", "k5")

    whole = space("fbnet-32")
    assert len(whole.operators) > len(whole.evolve(stages=whole.stages[:3]).operators)


def test_what_evolves_is_checked() -> None:
    operator = space("fbnet-32").stem
    with pytest.raises(ValidationError, match="threads"):
        Runtime.parse("xnnpack-float32-t1-contiguous-et1.5.1-native-any-in_situ").evolve(threads=0)
    with pytest.raises(ValidationError, match="blok"):
        operator.evolve(blok=operator.block)


def test_no_value_is_copied_with_a_stale_identity() -> None:
    operator = space("fbnet-32").stem
    with pytest.raises(TypeError, match="evolve"):
        operator.model_copy(update={"slot": operator.slot})
    with pytest.raises(TypeError, match="evolve"):
        operator.model_copy()
