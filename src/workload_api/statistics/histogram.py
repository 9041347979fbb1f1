"""Response times in geometric buckets: small, and within 1 % of the truth at any volume (§8).

Bucket ``n`` holds the times from ``2000 * GROWTH ** (n - 1 - _AT_2000)`` (exclusive) to
``2000 * GROWTH ** (n - _AT_2000)`` (inclusive) milliseconds, so that 2,000 ms, by default the limit of a slow request,
is exactly the edge of a bucket. Bucket 0 holds everything up to a fifth of a microsecond.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

GROWTH = 1.02
"""Each bucket is 2 % wider than the one before: its middle is within 1 % of all that it holds."""

_EDGE = 2000.0
_AT_2000 = 814
_SHORTEST = _EDGE * GROWTH**-_AT_2000
_LOG_GROWTH = math.log(GROWTH)
_MIDDLE = 2 / (GROWTH + 1)


def bucket_of(ms: float) -> int:
    """The bucket of a duration.

    Args:
        ms: Milliseconds; what is not positive (a clock's grain) counts as 0.
    """
    if ms <= _SHORTEST:
        return 0
    return max(1, math.ceil(math.log(ms / _EDGE) / _LOG_GROWTH) + _AT_2000)


def value_of(bucket: int) -> float:
    """The duration in milliseconds that stands for a bucket: within 1 % of every one that it holds."""
    return 0.0 if bucket <= 0 else _EDGE * GROWTH ** (bucket - _AT_2000) * _MIDDLE


def quantile(buckets: Mapping[int, int], q: float) -> float:
    """A quantile of the durations, in milliseconds, interpolated between the two nearest of them.

    Args:
        buckets: How many durations each bucket holds.
        q: From 0 (the shortest) to 1 (the longest).

    Returns:
        The quantile; 0 where there is nothing.
    """
    total = sum(buckets.values())
    if total <= 0:
        return 0.0
    place = min(max(q, 0.0), 1.0) * (total - 1)
    lower = math.floor(place)
    low = high = None
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if low is None and seen > lower:
            low = value_of(bucket)
        if seen > min(lower + 1, total - 1):
            high = value_of(bucket)
            break
    assert low is not None and high is not None
    return low + (high - low) * (place - lower)


def count_over(buckets: Mapping[int, int], threshold_ms: float) -> int:
    """How many durations are longer than a threshold: exact at 2,000 ms, elsewhere to within one bucket."""
    edge = bucket_of(threshold_ms)
    return sum(count for bucket, count in buckets.items() if bucket > edge)
