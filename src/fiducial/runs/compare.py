"""Compare settings on the same cases: scores with intervals, tests against a reference, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from fiducial.errors import InputError
from fiducial.objective import lower_is_better
from fiducial.reports.comparison.content import Comparison, Entry
from fiducial.runs.comparison.cases import Cases, case_ids, tables_of
from fiducial.runs.comparison.measure import Sample, choose_metrics, contrast, measure
from fiducial.runs.comparison.member import Member
from fiducial.runs.comparison.origin import mixed
from fiducial.runs.comparison.selection import Finder, Selection, select
from fiducial.runs.comparison.setting import (
    Setting,
    check_objectives,
    containing,
    differing,
    labels,
    settings_of,
    shown,
)
from fiducial.runs.comparison.verdict import Measured, cautions, scores_and_tests
from fiducial.wording import counted


@dataclass(frozen=True)
class Question:
    """What to compare, and how.

    Attributes:
        selection: the runs.
        against: a run of the reference; by default the setting with the best objective on the validation split.
        metrics: names; the usual ones if empty.
        shared_cases: compare on the cases that all have, where some have others besides.
        each_run: take every run for a setting of its own.
    """

    selection: Selection
    against: str | None = None
    metrics: Sequence[str] = ()
    shared_cases: bool = False
    each_run: bool = False


def compare(question: Question) -> Comparison:
    """Return the settings of runs beside each other, and each against the reference.

    Runs that differ in nothing but their seed or fold are repetitions of one setting, whose score is the mean
    over them. One setting's predictions are in memory at a time, besides the reference's.

    Raises:
        InputError: there is nothing to compare, or it cannot be compared: cases or their truth differ.
    """
    finder = Finder(question.selection.outputs)
    members, notes = select(question.selection, finder)
    named = finder.find(question.against) if question.against else None
    settings, more = settings_of(_with(members, named), each_run=question.each_run)
    if len(settings) < 2:
        if len(members) < 2:
            raise InputError("expected two runs or more to compare, got one: name another")
        raise InputError(
            f"expected two settings or more, got one: its {len(members)} runs differ in seed or fold only. "
            "--each-run compares them run by run"
        )
    reference, why = _reference(settings, named)
    others = sorted((s for s in settings if s is not reference), key=_rank)
    cases, metrics, shared = _common(reference, settings, question)
    ours = _samples(reference, cases, metrics, question)
    measured = [Measured.of(ours, {})]
    for setting in others:
        samples = _samples(setting, cases, metrics, question)
        contrasts = {name: contrast(name, samples[name], ours[name], cases.subjects) for name in metrics}
        measured.append(Measured.of(samples, contrasts))
    chosen = why if named else f"{why}; {_independence(cases.split)}"
    notes = [*notes, *more, *mixed(settings), *shared, *cautions(measured)]
    return _written([reference, *others], measured, cases, metrics, chosen, notes)


def _with(members: list[Member], named: Member | None) -> list[Member]:
    return members if named is None or named in members else [*members, named]


def _reference(settings: Sequence[Setting], named: Member | None) -> tuple[Setting, str]:
    """Return what the others are compared with, and why."""
    if named is not None:
        return containing(settings, named), "as asked by --against"
    objective = check_objectives(settings)
    ranked = sorted((setting for setting in settings if setting.objective is not None), key=_rank)
    if not ranked:
        raise InputError(f"no run says its {objective} on the validation split: name the reference by --against RUN")
    best = ranked[0]
    assert best.objective is not None
    value = f"{best.objective:.3f}" + (f", mean of {len(best.members)} runs" if len(best.members) > 1 else "")
    return best, f"which has the best {objective} ({value})"


def _independence(split: str) -> str:
    """Say whether the reference was chosen by the cases that are compared."""
    if split == "val":
        return "it was chosen by the very cases that are compared, which flatters it: --against names another"
    return f"the {split} split took no part in that choice"


def _rank(setting: Setting) -> float:
    """Return a key that puts the best validation objective first, and settings without one last."""
    if setting.objective is None:
        return float("inf")
    return setting.objective if lower_is_better(setting.members[0].objective) else -setting.objective


def _common(
    reference: Setting, settings: Sequence[Setting], question: Question
) -> tuple[Cases, tuple[str, ...], list[str]]:
    """Return the cases and the metrics that are compared, and a note where cases are left out."""
    table = tables_of(reference.repetitions[0])[0]
    cases = Cases.of(table)
    metrics = choose_metrics(question.metrics, table, reference.members[0].objective)
    if not question.shared_cases:
        return cases, metrics, []
    shared = set(cases.case.tolist())
    for setting in settings:
        for repetition in setting.repetitions:
            shared &= set(case_ids(repetition))
    if not shared:
        raise InputError("--shared-cases: no case is in all runs")
    left_out = len(cases.case) - len(shared)
    note = f"compared on the {counted(len(shared), 'case')} that all have; {left_out:,} of the reference's are left out"
    return cases.only(shared), metrics, [note]


def _samples(setting: Setting, cases: Cases, metrics: Sequence[str], question: Question) -> dict[str, Sample]:
    tables = [
        cases.align(table, _called(repetition), restrict=question.shared_cases)
        for repetition in setting.repetitions
        for table in tables_of(repetition)
    ]
    return measure(tables, cases, metrics)


def _called(repetition: Sequence[Member]) -> str:
    first = repetition[0]
    choices = " ".join(f"{group}={first.choices[group]}" for group in ("data", "model") if group in first.choices)
    return f"run {first.name} ({choices})"


def _objective(settings: Sequence[Setting]) -> str:
    """Return the name of the validation metric, or a word for several."""
    names = {member.objective for setting in settings for member in setting.members}
    return names.pop() if len(names) == 1 else "objective"


def _written(
    settings: Sequence[Setting],
    measured: Sequence[Measured],
    cases: Cases,
    metrics: Sequence[str],
    chosen: str,
    notes: Sequence[str],
) -> Comparison:
    keys = differing(settings)
    scores, tests = scores_and_tests(measured)
    entries = [
        Entry(
            label=name,
            settings=shown(setting, keys),
            runs=tuple(member.name for member in setting.members),
            repetitions=kept.repetitions,
            objective=setting.objective,
            scores=scored,
            tests=tested,
        )
        for name, setting, kept, scored, tested in zip(
            labels(settings, keys), settings, measured, scores, tests, strict=True
        )
    ]
    return Comparison(
        reference=entries[0],
        others=entries[1:],
        keys=keys,
        metrics=metrics,
        falling=frozenset(metric for metric in metrics if lower_is_better(metric)),
        cases=len(cases.case),
        subjects=len(set(cases.subject.tolist())),
        split=cases.split,
        objective=_objective(settings),
        chosen=chosen,
        family=sum(not isnan(test.p) for row in tests for test in row.values()),
        notes=notes,
    )
