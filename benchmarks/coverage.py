"""How often a bootstrap interval over few subjects holds the truth, beside Student's.

    python benchmarks/coverage.py [--samples 2000]

A score by case (one case a subject, drawn from a normal distribution) is averaged, and its 95 % interval made as a run
makes that of its test scores. Student's interval of the same numbers is exact here: it holds the truth 95 times in 100.
"""

from __future__ import annotations

import argparse

import numpy as np

from fiducial.statistics import mean_interval, percentile_interval, resampled_weights

SUBJECTS = (2, 3, 5, 7, 10, 15, 20, 30)
NUM_RESAMPLES, CONFIDENCE = 1000, 0.95


def covered(values: np.ndarray) -> tuple[bool, bool]:
    """Return whether the bootstrap's and Student's interval of these numbers hold 0, their true mean."""
    num = len(values)
    means = np.concatenate([weights @ values for weights in resampled_weights(np.arange(num), NUM_RESAMPLES, 0)]) / num
    intervals = (
        percentile_interval(float(values.mean()), means, num, CONFIDENCE),
        mean_interval(values, CONFIDENCE),
    )
    ours, students = (bool(one.low <= 0 <= one.high) for one in intervals)
    return ours, students


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    args = parser.parse_args()
    generator = np.random.default_rng(0)
    print(f"{'subjects':>8}{'bootstrap, %':>14}{'Student, %':>12}")
    for num in SUBJECTS:
        held = np.array([covered(generator.normal(size=num)) for _ in range(args.samples)])
        ours, students = 100 * held.mean(axis=0)
        print(f"{num:>8}{ours:>14.1f}{students:>12.1f}")


if __name__ == "__main__":
    main()
