"""A runtime as the agent's options: what a person is told to run measures that very runtime."""

from dataclasses import replace

import pytest
from cyclopts import App

from contract.runtime import Runtime
from device_agent.measuring.station import Options

USUAL = Runtime(
    dtype="float32",
    threads=1,
    memory_format="contiguous",
    executorch="1.5.1",
    runner="native",
    affinity="any",
    protocol="in_situ",
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, 0),
        ({"dtype": "int8"}, 2),
        ({"threads": 2, "memory_format": "channels_last"}, 4),
        ({"protocol": "isolated", "runner": "python"}, 4),
        ({"affinity": "cpu0.1"}, 2),
        ({"affinity": "cpu0to63"}, 2),
    ],
)
def test_the_options_of_a_runtime_lead_back_to_it(change: dict[str, object], told: int) -> None:
    runtime = Runtime.model_validate({**USUAL.model_dump(), **change})
    assert len(runtime.options) == told
    app = App(result_action="return_value")

    @app.default
    def parse(*, options: Options) -> Options:
        return options

    options: Options = app(["--device", "host", *runtime.options], exit_on_error=False)
    asked = options.runtime
    assert replace(asked, runner=asked.runner or "native") == runtime.request
