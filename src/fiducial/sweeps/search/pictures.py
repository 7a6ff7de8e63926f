"""From trials to pictures: importance, history, parallel coordinates, and the front of several objectives."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from fiducial.reports.figures.parallel import parallel_coordinates
from fiducial.reports.figures.search import Axis, Objective, Trial, history, importance, pareto_front
from fiducial.sweeps import axes
from fiducial.sweeps.search.space import Choice, Interval

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from fiducial.sweeps.search.study import Question

MIN_TRIALS = 2  # complete ones; fewer show nothing


def draw(question: Question, study: Study, trials: Iterable[FrozenTrial]) -> dict[str, Figure]:
    """Return pictures by name; none before enough trials are complete.

    Args:
        question: what was searched.
        study: with all trials.
        trials: those that count.
    """
    names = axes.short(question.space.keys)
    shown = [one for trial in trials if (one := _trial(trial, names, len(question.objectives)))]
    done = sum(trial.state == "done" for trial in shown)
    if done < MIN_TRIALS:
        return {}
    goals = [
        Objective(name, direction == "minimize")
        for name, direction in zip(question.objectives, question.directions, strict=True)
    ]
    scales = [_axis(one, names[one.key]) for one in question.space.dimensions]
    pictures = {"history": history(shown, goals), "parallel_coordinates": parallel_coordinates(shown, scales, goals[0])}
    if shares := _importances(study, question, names):
        pictures["importance"] = importance(shares, done)
    if len(goals) > 1:
        pictures["pareto_front"] = pareto_front(shown, [trial.number for trial in study.best_trials], goals)
    return pictures


def _trial(trial: FrozenTrial, names: dict[str, str], num_objectives: int) -> Trial | None:
    """Return a trial as a picture shows it; None while nothing has come of it."""
    from optuna.trial import TrialState

    states = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    if trial.state not in states:
        return None
    values = tuple(trial.values or ()) if trial.state != TrialState.FAIL else ()
    assert trial.state != TrialState.COMPLETE or len(values) == num_objectives
    settings = {names[key]: value for key, value in trial.params.items()}
    return Trial(trial.number, states[trial.state], values, settings)  # type: ignore[arg-type]


def _axis(one: Choice | Interval, name: str) -> Axis:
    return Axis(name, one.values) if isinstance(one, Choice) else Axis(name, log=one.log)


def _cost(trial: FrozenTrial, position: int, sign: float) -> float:
    assert trial.values is not None
    return sign * float(trial.values[position])


def _importances(study: Study, question: Question, names: dict[str, str]) -> dict[str, dict[str, float]]:
    """Return the share of each setting, by objective (PED-ANOVA: Watanabe et al., IJCAI 2023)."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = {}
    for position, objective in enumerate(question.objectives):
        sign = 1.0 if question.directions[position] == "minimize" else -1.0  # it takes less for better
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says of each setting that never varied that it cannot matter
            shares = get_param_importances(
                study,
                evaluator=PedAnovaImportanceEvaluator(),
                target=partial(_cost, position=position, sign=sign),
            )
        found[objective] = {names[key]: share for key, share in shares.items()}
    return found
