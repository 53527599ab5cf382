"""How often somebody may write: a token bucket each, in this process's memory."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST_BUCKETS = 10_000
BURST_S = 4  # so many seconds' worth may come at once


@dataclass(slots=True)
class _Bucket:
    level: float
    at_s: float


class Rates:
    """`per_s` for each key in the long run, four seconds' worth at once; 0 sets no limit.

    Whoever was not heard of for longest is forgotten first, and has a full bucket again.
    """

    def __init__(self, per_s: float, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s * BURST_S)
        self._now_s = now_s
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, key: str) -> int:
        """Take one from the bucket: 0 if there was one, else in how many seconds there is."""
        if self._per_s == 0:
            return 0
        now = self._now_s()
        bucket = self._buckets.pop(key, None) or _Bucket(self._most, now)
        self._buckets[key] = bucket
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        bucket.level = min(self._most, bucket.level + (now - bucket.at_s) * self._per_s)
        bucket.at_s = now
        if bucket.level < 1:
            return math.ceil((1 - bucket.level) / self._per_s)
        bucket.level -= 1
        return 0
