"""Distributions that add: counts by bucket, whose quantiles are within two per cent of the measured values.

After DDSketch (Masson, Rim and Lee, VLDB 2019): a value's bucket is an exponent of a fixed base, so that the same value
is in the same bucket whoever measured it, and minutes add up to hours and days.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

ACCURACY = 0.02
_BASE = (1 + ACCURACY) / (1 - ACCURACY)
_LOG = math.log(_BASE)

SMALLEST = 1e-6
"""What is smaller (a microsecond, where values are seconds) counts as so much."""


def bucket_of(value: float) -> int:
    """The bucket of a value."""
    return math.ceil(math.log(max(value, SMALLEST)) / _LOG)


def value_of(bucket: int) -> float:
    """What a bucket's values are taken for: no more than ``ACCURACY`` of them off."""
    return float(2 * _BASE**bucket / (_BASE + 1))


def sketch_of(values: Iterable[tuple[float, int]]) -> dict[str, int]:
    """The distribution of values, each with how often it was measured; buckets are text, as JSON keeps them."""
    counts: Counter[str] = Counter()
    for value, times in values:
        counts[str(bucket_of(value))] += times
    return dict(counts)


def added(sketches: Iterable[Mapping[str, int] | None]) -> dict[str, int]:
    """Several distributions as one."""
    counts: Counter[str] = Counter()
    for one in sketches:
        counts.update(one or {})
    return dict(counts)


def quantile(sketch: Mapping[str, int], share: float) -> float | None:
    """The value below or at which ``share`` of the measured ones are (nearest rank); none of nothing."""
    total = sum(sketch.values())
    if not total:
        return None
    rank = max(1, math.ceil(share * total))
    seen = 0
    for bucket in sorted(map(int, sketch)):
        seen += sketch[str(bucket)]
        if seen >= rank:
            return value_of(bucket)
    raise AssertionError("ranks end at the total")
