"""Quantiles from buckets, held against those of the very numbers (§8: within 2 %)."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload_api.statistics.histogram import bucket_of, count_over, quantile, value_of

DISTRIBUTIONS = {
    "uniform": lambda chance: chance.uniform(0.05, 3000),
    "exponential": lambda chance: chance.expovariate(1 / 80),
    "two humps": lambda chance: chance.lognormvariate(2, 0.3) if chance.random() < 0.7 else chance.gauss(4000, 300),
}


def exact(values: list[float], q: float) -> float:
    place = q * (len(values) - 1)
    lower = math.floor(place)
    low, high = values[lower], values[min(lower + 1, len(values) - 1)]
    return low + (high - low) * (place - lower)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 3000), q=st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_quantiles_are_within_two_percent(name: str, seed: int, size: int, q: float) -> None:
    chance = random.Random(seed)
    values = sorted(DISTRIBUTIONS[name](chance) for _ in range(size))
    found = quantile(Counter(map(bucket_of, values)), q)
    # A time shorter than the first bucket counts as none at all: less than a tenth of a microsecond off.
    assert found == pytest.approx(exact(values, q), rel=0.02, abs=1e-4)


@given(st.floats(1e-3, 1e9))
def test_a_bucket_stands_for_all_that_it_holds(ms: float) -> None:
    assert value_of(bucket_of(ms)) == pytest.approx(ms, rel=0.01)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_longer_times_are_in_later_buckets(one: float, other: float) -> None:
    assert (bucket_of(one) <= bucket_of(other)) or one > other


def test_nothing_has_no_quantile() -> None:
    assert quantile({}, 0.5) == 0


@pytest.mark.parametrize("ms", [0.0, -1.0, 1e-9])
def test_no_time_at_all_is_in_the_bucket_of_zero(ms: float) -> None:
    assert bucket_of(ms) == 0
    assert value_of(0) == 0


def test_slow_requests_are_counted_exactly_at_the_usual_limit() -> None:
    values = [1999.99, 2000.0, 2000.01, 2001.0, 1.0]
    assert count_over(Counter(map(bucket_of, values)), 2000) == 2


def test_every_request_that_took_any_time_is_over_zero() -> None:
    assert count_over(Counter(map(bucket_of, [0.0, 0.01, 5.0])), 0) == 2


@given(st.lists(st.floats(0.01, 10_000), max_size=200), st.floats(1, 9_000))
def test_slow_requests_are_counted_to_within_a_bucket(values: list[float], threshold: float) -> None:
    found = count_over(Counter(map(bucket_of, values)), threshold)
    surely = sum(value > threshold * 1.02 for value in values)
    at_most = sum(value > threshold for value in values)
    assert surely <= found <= at_most
