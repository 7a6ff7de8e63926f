from __future__ import annotations

import numpy as np
import pytest

from fiducial.data.source import Cases
from fiducial.data.splits import by_subject, check_fractions, fold_of_subjects, with_fold
from fiducial.errors import InputError

SPLITS = ("train", "val", "test")


def draw_table(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Return subjects with 1 to 4 images of one label each, in random order, and fractions."""
    num_subjects, num_classes = int(rng.integers(10, 80)), int(rng.integers(2, 5))
    of_subject = rng.integers(0, num_classes, num_subjects)
    member = np.repeat(np.arange(num_subjects), rng.integers(1, 5, num_subjects))
    rng.shuffle(member)
    subject = np.array([f"s{number}" for number in member])
    fractions = rng.dirichlet((4, 2, 2))
    return subject, of_subject[member], tuple(fractions / fractions.sum())


@pytest.mark.parametrize("seed", range(20))
def test_subjects_stay_together_and_strata_keep_their_fractions(seed: int) -> None:
    subject, label, fractions = draw_table(np.random.default_rng(seed))
    split = by_subject(subject, label, fractions=fractions, seed=seed)
    per_subject = {name: (set(split[subject == name]), label[subject == name][0]) for name in set(subject)}
    assert all(len(splits) == 1 for splits, _ in per_subject.values())
    for number, name in enumerate(SPLITS):
        inside = [stratum for splits, stratum in per_subject.values() if splits == {name}]
        assert abs(len(inside) - fractions[number] * len(per_subject)) <= 1.5
        for stratum in np.unique(label):
            of_stratum = [s for _, s in per_subject.values() if s == stratum]
            # A stratum is a stretch of a row that never is more than 1.5 off: at most twice that, in fact less.
            assert abs(inside.count(stratum) - fractions[number] * len(of_stratum)) <= 2


@pytest.mark.parametrize("seed", range(5))
def test_order_of_cases_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    subject, label, fractions = draw_table(rng)
    order = rng.permutation(len(subject))
    first = by_subject(subject, label, fractions=fractions, seed=3)
    np.testing.assert_array_equal(by_subject(subject[order], label[order], fractions=fractions, seed=3), first[order])


def test_even_classes_give_exact_counts_and_seeds_differ() -> None:
    subject = np.array([f"s{number:03d}" for number in range(200)])
    label = np.arange(200) % 2
    draws = [by_subject(subject, label, fractions=(0.6, 0.2, 0.2), seed=seed) for seed in (0, 1)]
    for split in draws:
        for name, count in zip(SPLITS, (60, 20, 20), strict=True):
            assert np.bincount(label[split == name]).tolist() == [count, count]
    assert (draws[0] != draws[1]).any()


def test_rare_label_of_several_is_spread() -> None:
    flags = np.zeros((50, 3), int)
    flags[:, 0] = 1  # everyone
    flags[:25, 1] = 1
    flags[::10, 2] = 1  # five cases
    split = by_subject(np.arange(50).astype(str), flags, fractions=(0.6, 0.2, 0.2), seed=0)
    assert [int(flags[split == name, 2].sum()) for name in SPLITS] == [3, 1, 1]
    nothing = by_subject(np.arange(10).astype(str), np.zeros((10, 3), int), fractions=(0.6, 0.2, 0.2))
    assert [int((nothing == name).sum()) for name in SPLITS] == [6, 2, 2]


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)])
def test_bad_fractions(fractions: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="three positive numbers that sum to 1, for train, val, test"):
        check_fractions(fractions)


def test_too_few_subjects() -> None:
    with pytest.raises(InputError, match="at least 3 subjects, got 2"):
        by_subject(np.array(["a", "b", "a"]), np.array([0, 1, 0]))


@pytest.mark.parametrize("seed", range(5))
def test_folds_hold_every_subject_once_and_keep_proportions(seed: int) -> None:
    subject, label, _ = draw_table(np.random.default_rng(seed))
    fold = fold_of_subjects(subject, label, num_folds=4)
    per_subject = {name: (set(fold[subject == name]), label[subject == name][0]) for name in set(subject)}
    assert all(len(folds) == 1 for folds, _ in per_subject.values())
    for wanted in (None, *np.unique(label)):
        inside = [folds.pop() for folds, stratum in map(copy_of, per_subject.values()) if wanted in (None, stratum)]
        counts = np.bincount(inside, minlength=4)
        assert counts.max() - counts.min() <= (1 if wanted is None else 2)


def copy_of(entry: tuple[set[int], int]) -> tuple[set[int], int]:
    return set(entry[0]), entry[1]


def test_a_fold_validates_once_and_the_test_split_stays() -> None:
    names = np.array([f"s{number}" for number in range(40)])
    split = np.array(["train"] * 22 + ["val"] * 8 + ["test"] * 10)
    cases = Cases(case=names, subject=names, split=split, label=np.arange(40) % 2)
    folded = [with_fold(cases, fold, 5) for fold in range(5)]
    for one in folded:
        assert (one.split[30:] == "test").all()
        assert (one.split[:30] != "test").all()
    validated = np.stack([one.split == "val" for one in folded])
    assert (validated.sum(axis=0) == (split != "test")).all()
    assert validated.sum(axis=1).tolist() == [6] * 5


def test_every_case_is_tested_once_with_its_subject_where_folds_are_tested() -> None:
    subject = np.array([f"s{number // 2}" for number in range(40)])
    source = np.array(["train", "test"] * 20)
    cases = Cases(case=np.arange(40).astype(str), subject=subject, split=source, label=np.arange(40) // 2 % 2)
    folded = [with_fold(cases, fold, 5, test=True) for fold in range(5)]
    tested, validated = (np.stack([one.split == name for one in folded]) for name in ("test", "val"))
    assert (tested.sum(axis=0) == 1).all()
    np.testing.assert_array_equal(validated, np.roll(tested, -1, axis=0))
    for one in folded:
        assert len({(name, split) for name, split in zip(one.subject, one.split, strict=True)}) == 20
        assert np.bincount(one.label[one.split == "test"]).tolist() == [4, 4]
    with pytest.raises(InputError, match=r"data.num_folds=3 or more, got 2"):
        with_fold(cases, 0, 2, test=True)


@pytest.mark.parametrize(("fold", "num_folds"), [(-1, 5), (5, 5), (0, 1), (0, 31)])
def test_a_fold_that_there_is_not(fold: int, num_folds: int) -> None:
    names = np.array([f"s{number}" for number in range(30)])
    cases = Cases(case=names, subject=names, split=np.array(["train"] * 30), label=np.arange(30) % 2)
    with pytest.raises(InputError, match="fold"):
        with_fold(cases, fold, num_folds)
