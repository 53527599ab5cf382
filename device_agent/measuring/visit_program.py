"""One visit to a program: timed once per plan, checked, and each run's time attributed."""

from pydantic import ValidationError

from device_agent.device import Device, ProgramFailed, ProgramFile
from device_agent.measuring.checks import check_timing
from device_agent.measuring.protocols.protocol import PlannedProgram
from device_agent.measuring.visits import Series, Visit


def visit_program(planned: PlannedProgram, file: ProgramFile, device: Device) -> Visit:
    """Time the program once per plan.

    Raises:
        ProgramFailed: it did not run, computed something else than eager PyTorch, ran elsewhere
            than in the runtime's backend, or its samples make no sense.
        DeviceFailed: the device is gone.
    """
    series = []
    for plan, attribute in planned.plans:
        timing = device.time_program(file, plan)
        check_timing(timing, file, device.runtime)
        try:
            attributed = Series.model_validate(
                {
                    "samples_us": attribute(timing),
                    "probes_us": [ns / 1000 for ns in timing.probes_ns],
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "samples"
            raise ProgramFailed("bad_samples", f"{where}: {first['msg']}") from error
        series.append(attributed)
    return Visit(series=tuple(series))
