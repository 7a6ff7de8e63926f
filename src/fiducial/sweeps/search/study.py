"""The trials of one search in the database: which there are, which comes next, what came of them.

A trial counts once, however often it was started: one whose process died is started again as it is, and goes on where
it was; one that failed is tried again by the next command, as a new trial that takes its place.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fiducial.errors import InputError
from fiducial.sweeps.job import Pruning
from fiducial.sweeps.search.samplers import GRID, Node, build_pruner, build_sampler, distributions, texts
from fiducial.sweeps.search.space import Space
from fiducial.sweeps.search.storage import NOBODY, AwayError, Owner, answering, exclusive, open_storage

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

logger = logging.getLogger(__name__)

Direction = Literal["minimize", "maximize"]

RECORD = "fiducial"  # attribute of a study: what is searched, and how
OWNER, REPEATS, GIVEN_UP, OUT, MESSAGE = "owner", "repeats", "given_up", "folder", "message"  # attributes of a trial


@dataclass(frozen=True)
class Question:
    """What a study is about; two commands with the same one go on with each other's trials.

    Attributes:
        name: of the study in the database.
        storage: URL of the database.
        outputs: folder of all runs.
        space: what is searched.
        sampler: what proposes settings.
        pruner: what ends runs early.
        objectives: names of what is to be reached.
        directions: "minimize" or "maximize" for each.
        settings: what all runs have in common, by key.
        seed: of everything that is drawn.
        epochs: of a run that goes to its end.
        total: trials in all.
    """

    name: str
    storage: str
    outputs: Path
    space: Space
    sampler: Node
    pruner: Node | None
    objectives: tuple[str, ...]
    directions: tuple[Direction, ...]
    settings: Mapping[str, Any]
    seed: int
    epochs: int
    total: int

    @property
    def record(self) -> dict[str, Any]:
        """What the database keeps of it."""
        return {
            "space": self.space.described(),
            "sampler": dict(self.sampler),
            "pruner": dict(self.pruner) if self.pruner else None,
            "objectives": list(self.objectives),
            "seed": self.seed,
            "epochs": self.epochs,
            "settings": dict(self.settings),
        }


class Trials:
    """The trials of a study. Whatever asks the database raises AwayError where that does not answer.

    Args:
        question: what the study is about.

    Raises:
        InputError: the database cannot be used, or a study of this name is about something else.
    """

    def __init__(self, question: Question) -> None:
        import optuna

        self._question = question
        self._owner = Owner(question.outputs)
        self._distributions = distributions(question.space)
        self._storage = open_storage(question.storage, make=True)
        self._grid = question.space.grid() if question.sampler["_target_"] == GRID else None
        with self._alone():
            self.study: Study = optuna.create_study(
                study_name=question.name,
                storage=self._storage,
                directions=question.directions,
                pruner=build_pruner(question.pruner, question.epochs),
                load_if_exists=True,
            )
            self._agree()

    def __iter__(self) -> Iterator[FrozenTrial]:
        """Yield all that count, by number."""
        with self._asked():
            every = self.study.get_trials(deepcopy=False)
        yield from _counting(every)

    def check(self) -> None:
        """Ask the database for next to nothing, to see whether it answers."""
        with self._asked():
            self._storage.get_study_id_from_name(self._question.name)

    def take_over(self, begun: Collection[int] = (), *, failed: bool = True) -> list[FrozenTrial]:
        """Return the trials that processes which are gone left behind, and those of this one that it does not know.

        Args:
            begun: numbers of the trials that this process knows; others of its own were lost with the database's
                answer.
            failed: put those that failed up for another try.
        """
        from optuna.trial import TrialState

        self._owner.hold()
        taken: list[FrozenTrial] = []
        gone: set[str] = set()
        with self._alone():
            for trial in list(self):
                owner = trial.user_attrs.get(OWNER, NOBODY)
                is_lost = owner == self._owner.name or self._owner.is_gone(owner)
                if trial.state == TrialState.RUNNING and is_lost and trial.number not in begun:
                    self._take(trial, taken)
                    gone.add(owner)
                elif trial.state == TrialState.FAIL and failed:
                    self.study.enqueue_trial(trial.params, user_attrs={REPEATS: trial.number})
        for owner in gone - {NOBODY, self._owner.name}:
            self._owner.forget(owner)
        return taken

    def ask(self) -> Trial | None:
        """Return a new trial; None if there are enough."""
        from optuna.trial import TrialState

        with self._alone():
            every = self.study.get_trials(deepcopy=False)
            trials = _counting(every)
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if not waiting and len(trials) >= self._question.total:
                return None
            if self._grid is not None and not waiting:
                point = self._next_point(trials)
                if point is None:
                    return None
                self.study.enqueue_trial(point)
            self.study.sampler = build_sampler(self._question.sampler, self._question.seed, len(every))
            try:
                trial = self.study.ask(self._distributions)
            except ValueError as error:
                raise InputError(f"search.sampler: {error}") from error
            trial.set_user_attr(OWNER, self._owner.name)
            return trial

    def tell(self, number: int, values: Sequence[float] | None, *, pruned: bool = False, **notes: str) -> None:
        """Say what came of a trial: its values, or that it was pruned, or, without both, that it failed.

        Args:
            number: of the trial.
            values: of its objectives.
            pruned: it was not worth going on with.
            notes: kept with the trial.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        failed = None if values is not None else TrialState.FAIL
        with self._asked():
            trial = self._storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
            try:
                for key, note in notes.items():
                    self._storage.set_trial_user_attr(trial, key, note)
            except UpdateFinishedTrialError:  # told by the process that was taken for dead
                return
            self.study.tell(number, values, TrialState.PRUNED if pruned else failed, skip_if_finished=True)

    def texts(self, trial: FrozenTrial | Trial) -> dict[str, str]:
        """Return a trial's values as they are written in overrides."""
        return texts(self._question.space, trial.params)

    def num_elsewhere(self) -> int:
        """Return how many trials other living searches have in hand."""
        owners = [trial.user_attrs.get(OWNER, NOBODY) for trial in self._running()]
        return sum(owner != self._owner.name and not self._owner.is_gone(owner) for owner in owners)

    def close(self) -> None:
        """Let go of the trials in hand: another process, on whatever machine, may go on with them."""
        try:
            with self._alone():
                for trial in self._running():
                    if trial.user_attrs.get(OWNER) == self._owner.name:
                        self._storage.set_trial_user_attr(trial._trial_id, OWNER, NOBODY)
        except AwayError as error:
            logger.warning("trials that were interrupted can go on only on this machine: %s", error)
        self._owner.release()
        self._storage.remove_session()

    def _running(self) -> list[FrozenTrial]:
        from optuna.trial import TrialState

        return [trial for trial in self if trial.state == TrialState.RUNNING]

    def _asked(self) -> AbstractContextManager[None]:
        return answering(self._question.storage)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._asked(), exclusive(self._question.storage, self._question.outputs):
            yield

    def _take(self, trial: FrozenTrial, taken: list[FrozenTrial]) -> None:
        """Make a trial this process's own; one that was not yet told all its values is given up."""
        from optuna.trial import TrialState

        if trial.params.keys() != self._distributions.keys():
            self._storage.set_trial_user_attr(trial._trial_id, GIVEN_UP, "killed while it was made")
            self.study.tell(trial.number, state=TrialState.FAIL)
            return
        self._storage.set_trial_user_attr(trial._trial_id, OWNER, self._owner.name)
        taken.append(trial)

    def _next_point(self, trials: Sequence[FrozenTrial]) -> dict[str, Any] | None:
        """Return the first point of the grid that has no trial."""
        assert self._grid is not None
        whole = (trial for trial in trials if trial.params.keys() == self._distributions.keys())  # none in the making
        taken = [self.texts(trial) for trial in whole]
        return next((_values(point, self._distributions) for point in self._grid if point not in taken), None)

    def _agree(self) -> None:
        """Refuse to go on with a study that is about something else."""
        wanted = json.loads(json.dumps(self._question.record))
        found = self.study.user_attrs.get(RECORD)
        if found is None and not self.study.get_trials(deepcopy=False):
            self.study.set_user_attr(RECORD, wanted)
        elif found != wanted:
            raise InputError(
                f"search.study={self._question.name} is there already, about something else: "
                f"{'; '.join(_differences(found or {}, wanted))}. Give another name, or go on with the same settings"
            )


def _counting(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that count: another one took the place of some, and some were never whole."""
    repeated = {trial.user_attrs[REPEATS] for trial in trials if REPEATS in trial.user_attrs}
    return [one for one in trials if one.number not in repeated and GIVEN_UP not in one.user_attrs]


def trial_of(pruning: Pruning) -> Trial:
    """Return the trial of a run, in the run's own process.

    Raises:
        InputError: the database cannot be used.
    """
    import optuna

    study = optuna.load_study(study_name=pruning.study, storage=open_storage(pruning.storage, make=False))
    record = study.user_attrs[RECORD]
    study.pruner = build_pruner(record["pruner"], record["epochs"])
    return optuna.Trial(study, pruning.trial)


def _values(point: Mapping[str, str], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point of a grid as Optuna has it: texts of choices, numbers of ranges."""
    kinds = {"IntDistribution": int, "FloatDistribution": float}
    return {key: kinds.get(type(found[key]).__name__, str)(text) for key, text in point.items()}


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield what differs between two records."""
    for key in dict.fromkeys([*found, *wanted]):
        one, other = found.get(key), wanted.get(key)
        where = f"{path}.{key}" if path else key
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differences(one, other, where)
        elif one != other:
            yield f"{where} was {'absent' if one is None else one}, and is now {'absent' if other is None else other}"
