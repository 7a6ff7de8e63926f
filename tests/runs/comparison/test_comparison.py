"""A whole comparison of made-up runs against other computations, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, roc_auc_score

from fiducial.errors import InputError
from fiducial.reports.comparison.content import Comparison
from fiducial.reports.comparison.files import csv_table
from fiducial.runs.compare import Question, compare
from fiducial.runs.comparison.selection import Selection

Write = Callable[..., Path]
NUM = 80
LABELS = np.arange(NUM) % 2


def noisy(seed: int, skill: float) -> np.ndarray[Any, Any]:
    return stats.norm.cdf(np.random.default_rng(seed).normal(size=NUM) + skill * (LABELS - 0.5))


def ask(outputs: Path, *runs: Path, **options: Any) -> Comparison:
    return compare(Question(Selection(outputs, [str(run) for run in runs]), **options))


def test_scores_and_tests_of_two_runs(write: Write, predictions: Any, outputs: Path) -> None:
    strong, weak = noisy(0, 2.0), noisy(1, 0.5)
    runs = predictions(write("a", objective=0.9), strong, LABELS), predictions(write("b", objective=0.7), weak, LABELS)
    found = ask(outputs, *runs, metrics=["auroc", "accuracy", "f1"])
    assert found.reference.label == "model=a"
    (other,) = found.others
    assert other.scores["auroc"].value == pytest.approx(roc_auc_score(LABELS, weak))
    assert other.scores["f1"].value == pytest.approx(f1_score(LABELS, weak > 0.5))
    accuracies = [accuracy_score(LABELS, score > 0.5) for score in (strong, weak)]
    test = other.tests["accuracy"]
    assert test.difference == pytest.approx(accuracies[1] - accuracies[0])
    right = [(score > 0.5) == LABELS for score in (strong, weak)]
    lost, won = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert test.p == pytest.approx(stats.binomtest(won, won + lost).pvalue)
    assert test.name == "McNemar, exact"
    assert {m: t.verdict for m, t in other.tests.items()} == {"auroc": "worse", "accuracy": "worse", "f1": "worse"}
    adjusted = sorted(t.adjusted for t in other.tests.values())
    assert adjusted[0] == pytest.approx(3 * min(t.p for t in other.tests.values()))
    assert found.family == 3


def test_seeds_are_one_setting_and_its_score_is_their_mean(write: Write, predictions: Any, outputs: Path) -> None:
    scores = {seed: noisy(seed, 1.5) for seed in range(3)}
    for seed, score in scores.items():
        predictions(write("a", seed=seed), score, LABELS)
    predictions(write("b", objective=0.1), noisy(9, 1.0), LABELS)
    found = compare(Question(Selection(outputs, experiment="digits")))
    areas = [roc_auc_score(LABELS, score) for score in scores.values()]
    assert len(found.reference.runs) == 3
    assert found.reference.scores["auroc"].value == pytest.approx(np.mean(areas))
    assert found.reference.scores["auroc"].deviation == pytest.approx(np.std(areas, ddof=1))
    assert math.isnan(found.others[0].scores["auroc"].deviation)
    assert found.others[0].tests["accuracy"].name == "paired t, 1 × 3 runs"
    assert any("settings with one seed: 1 of 2" in note for note in found.notes)


def test_folds_of_a_seed_are_one_prediction_of_each_case(write: Write, predictions: Any, outputs: Path) -> None:
    whole, half = noisy(0, 1.5), NUM // 2
    for fold, part in enumerate((slice(0, half), slice(half, NUM))):
        out = write("a", settings={"data.fold": fold})
        predictions(out, whole[part], LABELS[part], first=fold * half)
    predictions(write("b", objective=0.1), noisy(1, 1.0), LABELS)
    found = compare(Question(Selection(outputs, experiment="digits")))
    assert found.cases == NUM
    assert found.reference.repetitions == 1
    assert found.reference.scores["auroc"].value == pytest.approx(roc_auc_score(LABELS, whole))


def test_folds_tested_on_the_same_cases_are_repetitions(write: Write, predictions: Any, outputs: Path) -> None:
    for fold in range(3):
        predictions(write("a", settings={"data.fold": fold}), noisy(fold, 1.5), LABELS)
    predictions(write("b", objective=0.1), noisy(9, 1.0), LABELS)
    assert compare(Question(Selection(outputs, experiment="digits"))).reference.repetitions == 3


def test_reference_is_the_best_by_validation_though_another_tests_better(
    write: Write, predictions: Any, outputs: Path
) -> None:
    predictions(write("a", objective=0.9), noisy(0, 0.5), LABELS)
    predictions(write("b", objective=0.7), noisy(0, 3.0), LABELS)
    run = predictions(write("c", objective=0.8), noisy(0, 1.0), LABELS)
    found = compare(Question(Selection(outputs, experiment="digits")))
    assert found.reference.label == "model=a"
    assert [entry.label for entry in found.others] == ["model=c", "model=b"]
    assert "best val/auroc" in found.chosen
    asked = compare(Question(Selection(outputs, experiment="digits"), against=run.name))
    assert asked.reference.label == "model=c"


def test_a_choice_by_the_cases_that_are_compared_is_owned_up_to(write: Write, case_scores: Any, outputs: Path) -> None:
    for split, said in (("val", "very cases that are compared"), ("test", "test split took no part")):
        runs = [case_scores(write(model), split=split, dice=np.linspace(0.1, 0.9, 8)) for model in "ab"]
        assert said in ask(outputs, *runs).chosen
        assert said not in ask(outputs, *runs, against=runs[0].name).chosen


def test_a_lower_validation_loss_is_better(write: Write, predictions: Any, outputs: Path) -> None:
    for model, loss in (("a", 0.9), ("b", 0.2)):
        predictions(write(model, objective=loss, settings={"objective": "val/loss"}), noisy(0, 1.0), LABELS)
    assert compare(Question(Selection(outputs, experiment="digits"))).reference.label == "model=b"


def test_scores_by_case_with_undefined_ones(write: Write, case_scores: Any, outputs: Path) -> None:
    generator = np.random.default_rng(0)
    ours, theirs = generator.random(NUM), generator.random(NUM)
    theirs[5], ours[7], theirs[7] = np.nan, np.nan, np.nan
    case_scores(write("a", objective=0.9), dice=ours, hd95=10 * theirs)
    case_scores(write("b"), dice=theirs, hd95=10 * ours + 30)
    found = compare(Question(Selection(outputs, experiment="digits"), metrics=["dice", "hd95"]))
    (other,) = found.others
    dice = other.tests["dice"]
    assert (dice.cases, dice.kind, dice.every) == (NUM - 2, "scored", NUM)
    assert dice.difference == pytest.approx(np.nanmean(theirs - ours))
    assert dice.name == "paired bootstrap"
    means = [np.nanmean((theirs - ours)[2 * k : 2 * k + 2]) for k in range(NUM // 2)]
    assert dice.second == ("Wilcoxon", pytest.approx(stats.wilcoxon(means).pvalue))
    assert found.falling == {"hd95"}
    assert other.tests["hd95"].verdict == "worse"
    assert sum("undefined for up to 1 case in" in note for note in found.notes) == 2


def test_of_a_signed_error_the_size_is_compared(write: Write, case_scores: Any, outputs: Path) -> None:
    """Too small by half is no better than about right."""
    spread = np.random.default_rng(0)
    right, small = spread.normal(0, 0.05, 40), spread.uniform(-0.8, -0.5, 40)
    runs = (
        case_scores(write("right", objective=0.9), volume_error=right),
        case_scores(write("small", objective=0.8), volume_error=small),
    )
    found = ask(outputs, *runs, metrics=["volume_error"])
    test = found.others[0].tests["volume_error"]
    assert test.verdict == "worse"
    assert test.difference == pytest.approx(np.abs(small).mean() - np.abs(right).mean())


def test_signed_errors_of_several_classes_do_not_cancel(write: Write, case_scores: Any, outputs: Path) -> None:
    large, small = np.full(40, 0.5), np.full(40, 0.05)
    spread = np.random.default_rng(0).normal(0, 0.01, 40)
    for name, objective, one, other in (("a", 0.8, large + spread, -large), ("b", 0.9, small, small)):
        columns = {"volume_error": (one + other) / 2, "volume_error/head": one, "volume_error/tail": other}
        case_scores(write(name, objective=objective), **columns)
    test = compare(Question(Selection(outputs, experiment="digits"), metrics=["volume_error"])).others[0].tests
    assert test["volume_error"].verdict == "worse"
    assert test["volume_error"].difference == pytest.approx(0.45, abs=0.01)


@pytest.mark.parametrize("found", [3, 5, 6])
def test_recall_is_tested_as_the_answers_to_one_class_are(
    found: int, write: Write, predictions: Any, outputs: Path
) -> None:
    """Eight positive cases among 200: one setting finds some of them that the other misses."""
    labels = np.arange(200) < 8
    theirs = np.where(labels, 0.3, 0.2)
    ours = np.where(np.arange(200) < found, 0.9, theirs)
    runs = [predictions(write(n), score, labels.astype(int)) for n, score in (("a", theirs), ("b", ours))]
    test = ask(outputs, *runs, metrics=["recall"]).others[0].tests["recall"]
    assert (test.name, test.cases, test.kind, test.every) == ("McNemar, exact", 8, "positive", 200)
    assert test.p == pytest.approx(stats.binomtest(found, found).pvalue)
    assert (test.verdict != "cannot tell") == (found == 6)
    if found < 6:  # six at least must differ, for which it takes so many more positive cases
        assert test.cases_needed is not None
        assert test.cases_needed >= 8 * 6 / found


def test_specificity_is_about_the_negative_cases(write: Write, predictions: Any, outputs: Path) -> None:
    labels = (np.arange(NUM) >= 10).astype(int)
    runs = [predictions(write(n), noisy(seed, 1.0), labels) for seed, n in enumerate("ab")]
    test = ask(outputs, *runs, metrics=["specificity"]).others[0].tests["specificity"]
    assert (test.cases, test.kind, test.every) == (10, "negative", NUM)


def test_kappa_beside_f1_leaves_f1_as_it_is(write: Write, predictions: Any, outputs: Path) -> None:
    strong, weak = noisy(0, 2.0), noisy(1, 0.5)
    runs = [predictions(write(name), score, LABELS) for name, score in (("a", strong), ("b", weak))]
    found = ask(outputs, *runs, metrics=["f1", "quadratic_kappa", "mae"])
    scores = found.others[0].scores
    assert scores["f1"].value == pytest.approx(f1_score(LABELS, weak > 0.5))
    assert scores["quadratic_kappa"].value == pytest.approx(cohen_kappa_score(LABELS, weak > 0.5, weights="quadratic"))
    assert scores["mae"].value == pytest.approx(1 - accuracy_score(LABELS, weak > 0.5))


def test_few_subjects_that_all_agree_need_more_subjects(write: Write, predictions: Any, outputs: Path) -> None:
    """Of five subjects the least p of signs is 2 / 2**5, however many cases each has."""
    subjects, labels = np.repeat(np.arange(5), 50), np.ones(250, int)
    ours = np.full(250, 0.9)
    theirs = np.where(np.arange(250) % 50 < np.repeat([5, 6, 4, 5, 6], 50), 0.1, 0.9)
    runs = [predictions(write(n), s, labels, subjects=subjects) for n, s in (("a", ours), ("b", theirs))]
    test = ask(outputs, *runs, metrics=["accuracy"]).others[0].tests["accuracy"]
    assert test.p == pytest.approx(2 / 2**5)
    assert (test.verdict, test.cases_needed) == ("cannot tell", pytest.approx(250 * 6 / 5))


def test_a_difference_that_no_case_doubts_is_said_to_be_without_a_test(
    write: Write, predictions: Any, outputs: Path
) -> None:
    perfect, blind = np.where(LABELS == 1, 0.9, 0.1), np.full(NUM, 0.5)
    runs = [predictions(write(name), score, LABELS) for name, score in (("a", perfect), ("b", blind))]
    found = ask(outputs, *runs, metrics=["auroc"])
    assert found.others[0].tests["auroc"].verdict == "cannot tell"
    assert any("auroc differs in 1 setting without a test: no case varies" in note for note in found.notes)


def test_an_area_under_the_curve_of_each_case_is_tested_as_other_scores_by_case_are(
    write: Write, case_scores: Any, outputs: Path
) -> None:
    areas = [np.random.default_rng(seed).uniform(0.7, 1.0, 40) for seed in (0, 1)]
    runs = [case_scores(write(name), auroc=area) for name, area in zip("ab", areas, strict=True)]
    test = ask(outputs, *runs, metrics=["auroc"]).others[0].tests["auroc"]
    assert test.name == "paired bootstrap"
    assert test.second is not None
    assert test.second[0] == "Wilcoxon"


def test_of_equal_answers_nothing_is_foretold(write: Write, predictions: Any, outputs: Path) -> None:
    runs = [predictions(write(name), noisy(0, 1.5), LABELS) for name in "ab"]
    tests = ask(outputs, *runs, metrics=["auroc", "accuracy"]).others[0].tests
    assert [(test.difference, test.verdict, test.cases_needed) for test in tests.values()] == [
        (0, "cannot tell", None),
        (0, "cannot tell", None),
    ]


def test_the_metric_of_the_objective_is_compared_unless_others_are_asked_for(
    write: Write, case_scores: Any, outputs: Path
) -> None:
    for model in "ab":
        run = write(model, settings={"objective": "val/dice"})
        case_scores(run, iou=np.linspace(0, 1, 8), dice=np.linspace(0.1, 1, 8))
    found = compare(Question(Selection(outputs, experiment="digits")))
    assert found.metrics == ("dice",)
    assert found.others[0].tests["dice"].p == 1


def test_other_cases_are_refused_unless_shared_ones_are_asked_for(
    write: Write, predictions: Any, outputs: Path
) -> None:
    a, b = noisy(0, 2.0), noisy(1, 1.0)
    runs = (
        predictions(write("a", objective=0.9), a, LABELS),
        predictions(write("b"), b[10:], LABELS[10:], first=10),
    )
    with pytest.raises(InputError, match=r"reference has 80, run .* \(data=phantom model=b\) 70, and 70 are in both"):
        ask(outputs, *runs)
    found = ask(outputs, *runs, shared_cases=True)
    assert found.cases == 70
    assert found.reference.scores["auroc"].value == pytest.approx(roc_auc_score(LABELS[10:], a[10:]))
    assert any("10 of the reference's are left out" in note for note in found.notes)
    with pytest.raises(InputError, match="--shared-cases"):  # more cases than the reference has are no silence either
        ask(outputs, *runs, against=str(runs[1]))


def test_runs_on_different_data_are_refused(write: Write, predictions: Any, outputs: Path) -> None:
    for first, model in ((0, "a"), (500, "b")):
        predictions(write(model), noisy(0, 1.0), LABELS, first=first)
    with pytest.raises(InputError, match="0 are in both; they are of different data"):
        compare(Question(Selection(outputs, experiment="digits")))
    with pytest.raises(InputError, match="no case is in all runs"):
        compare(Question(Selection(outputs, experiment="digits"), shared_cases=True))


def test_the_order_of_cases_makes_no_difference(write: Write, predictions: Any, outputs: Path) -> None:
    a, b = noisy(0, 2.0), noisy(1, 1.0)
    runs = [predictions(write(model), score, LABELS) for model, score in (("a", a), ("b", b))]
    before = csv_table(ask(outputs, *runs, against=str(runs[0])))
    head, *rows = (runs[1] / "predictions.csv").read_text().splitlines()
    (runs[1] / "predictions.csv").write_text("\n".join([head, *reversed(rows)]) + "\n")
    assert csv_table(ask(outputs, *runs, against=str(runs[0]))) == before


def test_another_truth_is_refused(write: Write, predictions: Any, outputs: Path) -> None:
    other = LABELS.copy()
    other[[3, 4]] = other[[4, 3]]
    runs = predictions(write("a"), noisy(0, 2.0), LABELS), predictions(write("b"), noisy(1, 1.0), other)
    with pytest.raises(InputError, match="another label than the reference for 2 cases, such as c0003"):
        ask(outputs, *runs, shared_cases=True)


def test_another_subject_is_refused(write: Write, predictions: Any, outputs: Path) -> None:
    runs = [
        predictions(write("a", objective=0.9), noisy(0, 2.0), LABELS),
        predictions(write("b"), noisy(1, 1.0), LABELS, subjects=np.arange(NUM) // 2),
    ]
    with pytest.raises(InputError, match="another subject than the reference for 80 cases"):
        ask(outputs, *runs)


def test_validation_predictions_are_no_test_predictions(
    write: Write, predictions: Any, case_scores: Any, outputs: Path
) -> None:
    score = np.linspace(0, 1, 8)
    runs = case_scores(write("a"), dice=score), case_scores(write("b"), split="val", dice=score)
    with pytest.raises(InputError, match=r"as (val|test), the reference as (test|val)"):
        ask(outputs, *runs)


def test_runs_of_one_setting_are_compared_when_asked(write: Write, predictions: Any, outputs: Path) -> None:
    runs = [predictions(write("a", seed=seed), noisy(seed, 1.0), LABELS) for seed in range(2)]
    with pytest.raises(InputError, match="--each-run"):
        ask(outputs, *runs)
    found = ask(outputs, *runs, each_run=True)
    assert sorted(entry.label for entry in found.entries) == ["seed=0", "seed=1"]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [(["aurok"], "did you mean auroc"), (["dice"], "metrics: auroc, accuracy")],
)
def test_a_metric_that_there_is_not(
    metrics: list[str], message: str, write: Write, predictions: Any, outputs: Path
) -> None:
    runs = [predictions(write(model), noisy(0, 1.0), LABELS) for model in "ab"]
    with pytest.raises(InputError, match=message):
        ask(outputs, *runs, metrics=metrics)


def test_one_run_is_said_to_be_one(write: Write, predictions: Any, outputs: Path) -> None:
    run = predictions(write("a"), noisy(0, 1.0), LABELS)
    for each in (False, True):
        with pytest.raises(InputError, match="expected two runs or more to compare, got one: name another"):
            ask(outputs, run, each_run=each)


def test_runs_that_are_not_finished_are_counted(write: Write, outputs: Path) -> None:
    write("a", finished=False)
    with pytest.raises(InputError, match="got 1 run of which none is"):
        compare(Question(Selection(outputs, experiment="digits")))


def test_a_run_without_predictions_is_named(write: Write, predictions: Any, outputs: Path) -> None:
    runs = predictions(write("a", objective=0.9), noisy(0, 1.0), LABELS), write("b")
    with pytest.raises(InputError, match=f"run {runs[1].name} has neither predictions.csv nor case_scores.csv"):
        ask(outputs, *runs)


def test_without_validation_scores_the_reference_must_be_named(write: Write, predictions: Any, outputs: Path) -> None:
    runs = [predictions(write(model, objective=None), noisy(0, 1.0), LABELS) for model in "ab"]
    with pytest.raises(InputError, match="--against"):
        ask(outputs, *runs)
    assert ask(outputs, *runs, against=runs[0].name).reference.label == "model=a"


def test_many_repeated_settings_steady_each_other(write: Write, predictions: Any, outputs: Path) -> None:
    """With four settings of two seeds, a test has more than the degrees of freedom of its own four runs."""
    for number, model in enumerate("abcd"):
        for seed in range(2):
            score = noisy(10 * number + seed, 1.5 - 0.3 * number)
            predictions(write(model, seed=seed, objective=0.9 - number / 10), score, LABELS)
    together = compare(Question(Selection(outputs, experiment="digits"), metrics=["auroc"]))
    names = [run for entry in (together.reference, together.others[-1]) for run in entry.runs]
    alone = compare(Question(Selection(outputs, names), metrics=["auroc"]))
    assert together.others[-1].tests["auroc"].difference == pytest.approx(alone.others[0].tests["auroc"].difference)
    assert together.others[-1].scores["auroc"].deviation == pytest.approx(alone.others[0].scores["auroc"].deviation)
    assert together.others[-1].tests["auroc"].p != pytest.approx(alone.others[0].tests["auroc"].p)


def test_the_reference_may_be_a_run_of_one_setting(write: Write, predictions: Any, outputs: Path) -> None:
    runs = [predictions(write("a", seed=seed), noisy(seed, 1.0), LABELS) for seed in range(3)]
    found = ask(outputs, *runs, each_run=True, against=runs[1].name)
    assert found.reference.runs == (runs[1].name,)


def test_another_number_of_classes_is_refused(write: Write, predictions: Any, outputs: Path) -> None:
    runs = [predictions(write(model, objective=o), noisy(0, 1.0), LABELS) for model, o in (("a", 0.9), ("b", 0.1))]
    lines = (runs[1] / "predictions.csv").read_text().splitlines()
    (runs[1] / "predictions.csv").write_text("\n".join([f"{lines[0]},p_2", *(f"{line},0" for line in lines[1:])]))
    with pytest.raises(InputError, match="tells 3 classes apart, the reference 2"):
        ask(outputs, *runs)


def test_another_task_is_refused(write: Write, predictions: Any, case_scores: Any, outputs: Path) -> None:
    runs = predictions(write("a", objective=0.9), noisy(0, 1.0), LABELS), case_scores(write("b"), dice=noisy(1, 1.0))
    with pytest.raises(InputError, match="another subject"):
        ask(outputs, *runs)
