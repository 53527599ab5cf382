"""Numbers, times and tables as a person reads them; the templates' filters."""

from contract.devices import Conditions
from contract.estimates import Estimate
from contract.runtime import Runtime
from contract.searches import SearchReport, SearchSummary
from contract.slots import Slot
from contract.table_keys import TableKey

UNCERTAIN = "≈"  # stands before a latency of grade C


def runtime_words(runtime: Runtime) -> str:
    """`XNNPACK float32, 1 thread, contiguous, ExecuTorch 1.5.1, ...`."""
    threads = "1 thread" if runtime.threads == 1 else f"{runtime.threads} threads"
    cpus = "any CPU" if runtime.affinity == "any" else f"on {runtime.affinity}"
    return (
        f"{runtime.backend.upper()} {runtime.dtype}, {threads}, "
        f"{runtime.memory_format.replace('_', ' ')}, ExecuTorch {runtime.executorch}, "
        f"{runtime.runner} runner, {cpus}, {runtime.protocol.replace('_', ' ')}"
    )


def table_title(table: TableKey) -> str:
    """A table as people choose it: `phone: XNNPACK float32, ...`."""
    return f"{table.device_and_origin}: {runtime_words(Runtime.parse(table.runtime))}"


def runtime_brief(runtime: Runtime) -> str:
    """`float32, 1 thread, native, in situ`: what tells most tables of a device apart."""
    layout = "" if runtime.memory_format == "contiguous" else ", channels last"
    cpus = "" if runtime.affinity == "any" else f", {runtime.affinity}"
    threads = "1 thread" if runtime.threads == 1 else f"{runtime.threads} threads"
    return (
        f"{runtime.dtype}, {threads}{layout}, {runtime.runner}{cpus}, "
        f"{runtime.protocol.replace('_', ' ')}"
    )


def conditions_words(conditions: Conditions) -> str:
    """`load 0.3, 2400 MHz, 41 °C, battery 80 % at 31 °C`; what could not be read is left out."""
    parts = []
    if conditions.load_1min is not None:
        parts.append(f"load {conditions.load_1min:.1f}")
    if conditions.clock_mhz is not None:
        parts.append(f"{conditions.clock_mhz:.0f} MHz")
    if conditions.temperature_c is not None:
        parts.append(f"{conditions.temperature_c:.0f} °C")
    if conditions.clock_limit_mhz is not None:
        parts.append(f"up to {conditions.clock_limit_mhz:.0f} MHz")
    if conditions.governor is not None:
        parts.append(f"governor {conditions.governor}")
    if conditions.battery is not None:
        warmth = "" if conditions.battery_c is None else f" at {conditions.battery_c:.0f} °C"
        parts.append(f"battery {conditions.battery:.0%}{warmth}")
    if conditions.thermal is not None:
        parts.append(f"thermal state {conditions.thermal}")
    if conditions.low_power:
        parts.append("low-power mode")
    if conditions.is_awake is False:
        parts.append("screen off")
    if conditions.patience is not None:
        told = conditions.patience
        parts.append(
            f"told to wait {told.cooling_s / 60:g} min to be below {told.cool_c:g} °C, up to "
            f"{told.hot_c:g} °C, and {told.others_s / 60:g} min for others"
        )
    return ", ".join(parts) or "no readings"


def search_title(search: SearchSummary | SearchReport) -> str:
    """What a run is called: its target, seed and the beginning of its id."""
    plan = search.plan if isinstance(search, SearchSummary) else search.run.plan
    return f"{plan.target} seed {plan.seed} ({str(search.id)[:8]})"


def slot_words(slot: Slot) -> str:
    """`24 → 32 ch, 56² → 28²`."""
    channels = (
        f"{slot.in_channels} ch"
        if slot.in_channels == slot.out_channels
        else f"{slot.in_channels} → {slot.out_channels} ch"
    )
    size = (
        f"{slot.input_size}²" if slot.stride == 1 else f"{slot.input_size}² → {slot.output_size}²"
    )
    return f"{channels}, {size}"


def microseconds(us: float) -> str:
    """`12,345.6`, and more digits below ten."""
    return f"{us:,.1f}" if us >= 10 else f"{us:.3f}"


def row_text(row: Estimate) -> str:
    """A row's latency in us, `12.3`, or `≈ 12.3` of grade C."""
    latency = microseconds(row.latency_us)
    return f"{UNCERTAIN} {latency}" if row.grade == "C" else latency


def row_words(row: Estimate) -> tuple[str, ...]:
    """What a row rests on, line by line."""
    rounds = "1 round" if row.rounds == 1 else f"{row.rounds} rounds"
    return (
        f"{microseconds(row.latency_us)} µs ± {percent(row.half_width)}, grade {row.grade}",
        f"{row.calm} of {row.samples} samples calm, {rounds}",
        f"median {microseconds(row.median_us)} µs, p90 {microseconds(row.p90_us)} µs",
    )


def counted(count: int, one: str, several: str | None = None) -> str:
    """`1 row`, `1,512 rows`; `several` where an s does not make the plural."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def percent(fraction: float) -> str:
    """`1.2 %`."""
    return f"{fraction:,.1%}".replace("%", " %")


def signed_percent(fraction: float) -> str:
    """`+1.2 %` or `-1.2 %`."""
    return f"{fraction:+,.1%}".replace("%", " %")


def gibibytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def duration(us: float) -> str:
    """`830 µs`, `12.40 ms`."""
    return f"{microseconds(us)} µs" if us < 1000 else f"{us / 1000:,.2f} ms"


def place(rank: float) -> str:
    """`7`, or `7.5` where equal ones share two places."""
    return f"{rank:g}"
