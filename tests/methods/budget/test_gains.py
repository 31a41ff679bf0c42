"""The expected gain of a plan against what the plan brings on the true curves."""

from __future__ import annotations

import numpy as np
import pytest

from tests.planted_spend import clean, community, gains, start_up


@pytest.mark.slow
def test_expected_gains_are_those_of_the_true_curves() -> None:
    off, held = [], []
    for make in (community, start_up, clean):
        for seed in range(20):
            for _, expected, true, _ in gains(make(seed), seed):
                held.append(expected.low <= true <= expected.high)
                if expected.high > expected.low:  # a plan that moves nothing gains nothing, for certain
                    off.append((expected.value - true) / (expected.high - expected.low))
    off_by, error = np.mean(off), np.std(off) / np.sqrt(len(off) / 2)
    print(
        f"expected less true gain, in widths of its interval: {off_by:.3f} ± {error:.3f}; {np.mean(held):.3f} hold"
    )
    # Three Monte-Carlo errors; both plans of a world count as one.
    assert off_by < 3 * error
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / (len(held) / 2))
