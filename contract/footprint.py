"""What a program takes besides its latency: time until it can run, and memory."""

from pydantic import Field, NonNegativeFloat

from contract.values import Bytes, Value


class Footprint(Value):
    """How long a program took to load and for its first run, and how much memory it added.

    The times are medians of visits, its file in the system's cache. `peak_bytes` is the most of
    any visit; None where the device does not tell.
    """

    load_ms: NonNegativeFloat
    first_run_ms: NonNegativeFloat
    peak_bytes: Bytes | None = Field(default=None, exclude_if=lambda peak: peak is None)

    @property
    def words(self) -> str:
        """`loaded in 38.1 ms, first run 14.2 ms, up to 34.5 MiB of memory`."""
        times = f"loaded in {self.load_ms:,.1f} ms, first run {self.first_run_ms:,.1f} ms"
        if self.peak_bytes is None:
            return times
        return f"{times}, up to {self.peak_bytes / 2**20:,.1f} MiB of memory"
