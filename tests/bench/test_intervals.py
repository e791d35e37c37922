import random
from statistics import median

import pytest

from voicebridge_bench.intervals import order_ranks, quantile, rate


@pytest.mark.parametrize(("p", "n"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.1, 36)])
def test_a_percentile_needs_this_many_measurements(p, n):
    assert order_ranks(n, p) is not None
    assert order_ranks(n - 1, p) is None
    assert quantile([1.0] * (n - 1), p) is None


def test_six_values_bound_the_median_by_the_smallest_and_the_largest():
    found = quantile([5, 1, 4, 2, 3, 6], 0.5)
    assert (found.value, found.low, found.high, found.n) == (3.5, 1, 6, 6)


@pytest.mark.parametrize(("p", "n"), [(0.5, 6), (0.5, 40), (0.9, 40), (0.9, 200)])
def test_the_interval_holds_the_true_percentile_at_least_95_times_in_100(p, n):
    draw = random.Random(1)
    runs = 2000
    held = sum(
        found.low <= p <= found.high for found in (quantile([draw.random() for _ in range(n)], p) for _ in range(runs))
    )
    assert held / runs >= 0.94


def test_the_median_is_the_usual_one():
    values = [random.Random(2).random() for _ in range(101)]
    assert quantile(values, 0.5).value == pytest.approx(median(values))


def test_a_rate_is_pooled_and_its_interval_is_the_same_for_the_same_seed():
    clusters = {str(n): (float(n % 7), 10.0 + n) for n in range(40)}
    first, again, other = rate(clusters, 7), rate(clusters, 7), rate(clusters, 8)
    assert first.value == pytest.approx(sum(n % 7 for n in range(40)) / (400 + sum(range(40))))
    assert first == again
    assert first.low <= first.value <= first.high
    assert (first.low, first.high) != (other.low, other.high), "another seed draws others"
    assert (first.seed, other.seed) == (7, 8)


def test_one_cluster_has_no_interval_and_none_has_no_rate():
    assert rate({"a": (1.0, 4.0)}, 1).low is None
    assert rate({}, 1) is None
    assert rate({"a": (0.0, 0.0)}, 1) is None
