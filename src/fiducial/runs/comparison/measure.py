"""Scores of a setting with their errors, and a setting against the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fiducial import paired
from fiducial.errors import InputError, nearest
from fiducial.objective import SIGNED
from fiducial.paired import Effect, Estimate, Scale
from fiducial.reports.comparison.content import Kind
from fiducial.runs.comparison.cases import Cases, Table
from fiducial.statistics import SHARES, predicted_labels

IN_UNIT = (
    *("auroc", "accuracy", "balanced_accuracy", "average_precision"),
    *("recall", "specificity", "precision", "f1", "calibration_error"),
)
ORDINAL = ("quadratic_kappa", "mae")
USUAL = ("auroc", "accuracy")  # compared unless others are asked for
OF_ONE_CASE = ("accuracy", "mae")  # means over cases; the other scores are of all cases together
OF_ONE_CLASS = ("recall", "specificity")  # of two classes: means over the cases of one

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """A metric of one setting.

    Attributes:
        estimates: of each repetition.
        scale: what the metric can be.
        values: of each repetition and case, `(repetitions, cases)`, where a case has a score by itself.
        remake: makes an estimate from the values of one repetition.
        answers: whether each case is right, 1, or wrong, 0.
    """

    estimates: Sequence[Estimate]
    scale: Scale
    values: Floats | None = None
    remake: Callable[[Floats], Estimate] | None = None
    answers: bool = False

    @property
    def repetitions(self) -> int:
        """How often the setting was repeated."""
        return len(self.estimates)

    def only(self, kept: NDArray[np.bool_]) -> Sample:
        """Return the metric of those cases that are kept."""
        assert self.values is not None
        assert self.remake is not None
        values = np.where(kept, self.values, np.nan)
        return replace(self, values=values, estimates=[self.remake(row) for row in values])


@dataclass(frozen=True)
class Contrast:
    """A setting against the reference by one metric.

    Attributes:
        name: of the test that decides.
        effect: the difference of the scores.
        exact: p of an exact test; where it is None, p is the effect's own.
        cases: that the score is about, and that both have.
        kind: which these are.
        every: all cases that are compared.
        undefined: cases left out because the metric is undefined in one of the two only.
        discordant: subjects of whom one has more right answers than the other, where the test is exact.
        second: name and p of a test that decides nothing.
    """

    name: str
    effect: Effect
    exact: float | None
    cases: int
    kind: Kind
    every: int
    undefined: int
    discordant: int = 0
    second: tuple[str, float] | None = None

    @property
    def p(self) -> float:
        """Two-sided p that there is no difference."""
        return self.effect.p if self.exact is None else self.exact


def choose_metrics(asked: Sequence[str], table: Table, objective: str) -> tuple[str, ...]:
    """Return the metrics to compare: those asked for; else AUROC and accuracy, or the objective's own.

    Raises:
        InputError: there is no such metric.
    """
    known = tuple(table.scores)
    if table.probabilities is not None:
        known = (*IN_UNIT, *ORDINAL) if _target(table) != "multilabel" else IN_UNIT
    for name in asked:
        if name not in known:
            raise InputError(f"--metric {name}: there is none{nearest(name, known)} (metrics: {', '.join(known)})")
    if asked:
        return tuple(dict.fromkeys(asked))
    if table.probabilities is not None:
        return USUAL
    followed = objective.removeprefix("val/")
    return (followed,) if followed in known else known[:1]


def measure(tables: Sequence[Table], cases: Cases, metrics: Sequence[str]) -> dict[str, Sample]:
    """Return the metrics of one setting from what its repetitions say of the cases, in the cases' order.

    Raises:
        InputError: a table is of another kind of task than the others, or lacks a metric.
    """
    subjects = cases.subjects
    if len({table.probabilities is None for table in tables}) > 1:
        raise InputError("expected runs of one kind of task, got predictions of classes from some and none from others")
    if tables[0].probabilities is None:
        return {name: _of_columns(name, tables, subjects) for name in metrics}
    target = _target(tables[0])
    by_case = (*OF_ONE_CASE, *OF_ONE_CLASS) if target == "binary" else OF_ONE_CASE
    samples = {name: _of_answers(name, tables, target, subjects) for name in metrics if name in by_case}
    others = [name for name in metrics if name not in samples]
    parts = [_of_all_cases(others, table, target, subjects) for table in tables]
    scales = {name: _scale(name) for name in others}
    if _mixed(tables[0], subjects):  # fewer pairs of them are independent than the rarer kind has subjects
        scales |= {"auroc": "unit"}
    return samples | {name: Sample([part[name] for part in parts], scales[name]) for name in others}


def contrast(metric: str, ours: Sample, theirs: Sample, subjects: Integers) -> Contrast:
    """Return a setting against the reference.

    Which test is made follows from the metric, the subjects and whether runs were repeated, never from the scores.

    Args:
        metric: its name.
        ours: of the setting.
        theirs: of the reference.
        subjects: number of each case's subject, `(cases,)`, from 0.
    """
    cases, undefined = len(subjects), 0
    if ours.values is not None and theirs.values is not None:
        every = np.concatenate([ours.values, theirs.values])
        defined = ~np.isnan(every)
        kept = defined.all(axis=0)
        cases, undefined = int(kept.sum()), int((defined.any(axis=0) & ~kept).sum())
        if undefined:
            ours, theirs = ours.only(kept), theirs.only(kept)
    effect = paired.difference(paired.pool(ours.estimates), paired.pool(theirs.estimates))
    name, exact, second = _test(metric, ours, theirs, subjects)
    discordant = paired.num_discordant(_only(ours), _only(theirs), subjects) if exact is not None else 0
    if ours.repetitions > 1 or theirs.repetitions > 1:
        name += f", {ours.repetitions} × {theirs.repetitions} runs"
    kind = _kind(metric, ours) if cases < len(subjects) else "all"
    return Contrast(name, effect, exact, cases, kind, len(subjects), undefined, discordant, second)


def _kind(metric: str, sample: Sample) -> Kind:
    """Return which cases a metric is about that is not defined for all."""
    if sample.answers and metric in OF_ONE_CLASS:
        return "positive" if metric == "recall" else "negative"
    return "scored"


def _test(
    metric: str, ours: Sample, theirs: Sample, subjects: Integers
) -> tuple[str, float | None, tuple[str, float] | None]:
    """Return the name of the test that decides, its p if it is an exact one, and a second opinion."""
    clustered = ", clustered" if len(np.unique(subjects)) < len(subjects) else ""
    if metric == "auroc" and ours.values is None:  # with values, it is a mean of each case's own
        return f"DeLong{clustered}", None, None
    if ours.values is None or theirs.values is None:
        return "paired bootstrap", None, None
    if ours.answers and ours.repetitions == theirs.repetitions == 1:
        return f"McNemar, exact{clustered}", paired.mcnemar(_only(ours), _only(theirs), subjects), None
    if ours.answers or metric in OF_ONE_CASE:
        return f"paired t{clustered}", None, None
    signed = paired.wilcoxon(ours.values.mean(axis=0), theirs.values.mean(axis=0), subjects)
    return "paired bootstrap", None, ("Wilcoxon", signed)


def _only(sample: Sample) -> Floats:
    """Return the cases' values of a setting with one run."""
    assert sample.values is not None
    assert len(sample.values) == 1
    only: Floats = sample.values[0]
    return only


def _target(table: Table) -> str:
    """Return what kind of classification a table is of."""
    assert table.probabilities is not None
    assert table.label is not None
    if table.label.ndim == 2:
        return "multilabel"
    return "binary" if table.probabilities.shape[1] == 2 else "multiclass"


def _of_columns(name: str, tables: Sequence[Table], subjects: Integers) -> Sample:
    for table in tables:
        if name not in table.scores:
            known = ", ".join(table.scores) or "none: it has predictions of classes"
            raise InputError(f"--metric {name}: a run has no such column (it has {known})")
    base = name.partition("/")[0]
    values = np.stack([_sizes(name, table) if base in SIGNED else table.scores[name] for table in tables])
    remake = partial(paired.resampled_mean, subjects=subjects)
    return Sample([remake(row) for row in values], "share" if base in SHARES else "any", values, remake)


def _of_answers(name: str, tables: Sequence[Table], target: str, subjects: Integers) -> Sample:
    values = np.stack([_answers(name, table, target) for table in tables])
    remake = partial(paired.mean_over_cases, subjects=subjects)
    scale: Scale = "share" if name in OF_ONE_CLASS else _scale(name)
    return Sample([remake(row) for row in values], scale, values, remake, name != "mae" and target != "multilabel")


def _sizes(name: str, table: Table) -> Floats:
    """Return the size of a signed score of each case; of all classes the mean of theirs: signs must not cancel."""
    parts = [column for key, column in table.scores.items() if key.startswith(f"{name}/")]
    sizes = np.abs(np.stack(parts or [table.scores[name]]))
    defined = ~np.isnan(sizes)
    total = np.where(defined, sizes, 0.0).sum(axis=0)
    means: Floats = np.divide(total, defined.sum(axis=0), out=np.full(len(total), np.nan), where=defined.any(axis=0))
    return means


def _scale(name: str) -> Scale:
    """Return what a score of classes can be; the units of most are only some of the subjects."""
    return "share" if name in ("auroc", "accuracy") else "unit" if name in IN_UNIT else "any"


def _mixed(table: Table, subjects: Integers) -> bool:
    """Tell whether a subject has cases of different labels."""
    assert table.label is not None
    pairs = np.column_stack([subjects, table.label.reshape(len(subjects), -1)])
    return len(np.unique(pairs, axis=0)) > len(np.unique(subjects))


def _answers(name: str, table: Table, target: str) -> Floats:
    """Return each case's accuracy (of several labels: the share that is right) or error in class steps.

    Recall and specificity are the accuracy of the cases of one class; the others have none.
    """
    assert table.probabilities is not None
    assert table.label is not None
    predicted = predicted_labels(table.probabilities, target)
    if name == "mae":
        steps: Floats = np.abs(predicted - table.label).astype(np.float64)
        return steps
    right: Floats = (predicted == table.label).reshape(len(predicted), -1).mean(axis=1)
    if name in OF_ONE_CLASS:
        return np.where(table.label == (1 if name == "recall" else 0), right, np.nan)
    return right


def _of_all_cases(names: Sequence[str], table: Table, target: str, subjects: Integers) -> dict[str, Estimate]:
    assert table.probabilities is not None
    assert table.label is not None
    found = {
        name: paired.auroc(table.probabilities, table.label, target, subjects) for name in names if name == "auroc"
    }
    for kind, known in ((target, IN_UNIT), ("ordinal", ORDINAL)):
        if others := [name for name in names if name in known and name not in found]:
            found |= paired.resampled(others, table.probabilities, table.label, kind, subjects)
    return found
