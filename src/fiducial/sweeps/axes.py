"""What differs between the runs of a sweep. Seeds and folds repeat a setting; everything else makes another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

REPETITIONS = ("seed", "data.fold")


def values(overrides: Sequence[str]) -> dict[str, str]:
    """Return what overrides set, by key, the last one for each."""
    pairs = (line.lstrip("+~").partition("=") for line in overrides)
    return {key: value for key, _, value in pairs}


def varied(jobs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the keys whose values differ between jobs, in the order in which they were given."""
    keys = dict.fromkeys(key for job in jobs for key in job)
    return [key for key in keys if len({job.get(key) for job in jobs}) > 1]


def short(keys: Sequence[str]) -> dict[str, str]:
    """Return for each key its last part, or all of it where two would then be called the same.

    >>> short(["optimizer.lr", "model", "seed"])
    {'optimizer.lr': 'lr', 'model': 'model', 'seed': 'seed'}
    """
    counts = Counter(key.rpartition(".")[2] for key in keys)
    return {key: last if counts[last := key.rpartition(".")[2]] == 1 else key for key in keys}


def title(job: Mapping[str, str], keys: Sequence[str]) -> str:
    """Return what tells a job from the others: `model=lenet lr=0.001 seed=2`."""
    names = short(keys)
    return " ".join(f"{names[key]}={job[key]}" for key in keys if key in job)


def setting(job: Mapping[str, str], keys: Sequence[str]) -> str:
    """Return what a job has in common with its repetitions."""
    return title(job, [key for key in keys if key not in REPETITIONS])
