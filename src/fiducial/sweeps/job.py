"""One run of a sweep: what a process is told to start it, and what it says of its end. No torch."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from fiducial.config import Composed

from fiducial.errors import InputError

State = Literal["done", "failed", "stopped", "pruned", "elsewhere"]
# done: it has its scores. failed: it ended with an error. stopped: Ctrl-C or SIGTERM.
# pruned: a search saw no use in going on. elsewhere: another process is running it.


@dataclass(frozen=True)
class Pruning:
    """Where a search keeps its trials, so that a run can ask whether it is worth going on.

    Attributes:
        storage: URL of Optuna's storage.
        study: its name there.
        trial: id of the run's trial.
        objective: name of the validation metric that the search is for.
        pruner: what decides, described.
    """

    storage: str
    study: str
    trial: int
    objective: str
    pruner: Mapping[str, Any]

    @property
    def judge(self) -> dict[str, Any]:
        """What a pruned run was pruned by: to another study, pruner or objective it may be worth going on."""
        return {"study": self.study, "pruner": dict(self.pruner), "objective": self.objective}


@dataclass(frozen=True)
class Spec:
    """A run to start. Can be pickled.

    Attributes:
        number: of the run in its sweep, from 0.
        overrides: what a command line would give.
        config_dir: folder of config groups of the user's own.
        sweep: folder of the sweep; empty for a run that belongs to none.
        title: what tells the run from the others of its sweep.
        pruning: of a search; None for a run that always goes to its end.
        composed: what the overrides ask for, where the sweep knows it already.
    """

    number: int
    overrides: tuple[str, ...]
    config_dir: str | None
    sweep: str
    title: str
    pruning: Pruning | None = None
    composed: Composed | None = None


class Queue:
    """Jobs, each taken when there is room for it.

    Args:
        jobs: may hold None: that there is no job for now.

    Attributes:
        more: whether there may be another one.
    """

    def __init__(self, jobs: Iterable[Spec | None]) -> None:
        self._jobs, self.more = iter(jobs), True

    def take(self) -> Spec | None:
        """Return the next job; None where there is none, for now or any more."""
        try:
            return next(self._jobs)
        except StopIteration:
            self.more = False
            return None


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        number: of the run in its sweep.
        epoch: epochs that are over.
        epochs: epochs in all.
        step: optimizer steps that are over.
        steps: optimizer steps in all; 0 while nobody knows.
        objective: the best so far.
    """

    number: int
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    objective: float | None = None


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        number: of the run in its sweep.
        state: one word for it.
        out: the run's folder, if there is one.
        message: why it did not come to its end.
        seconds: that it took; 0 if it was done before.
        objective: of the validation split, of a run that is done.
    """

    number: int
    state: State
    out: str = ""
    message: str = ""
    seconds: float = 0.0
    objective: float | None = None


class RunError(Exception):
    """A run that Hydra asked for did not come to its end.

    Attributes:
        ending: how it ended instead.
    """

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending

    def __str__(self) -> str:
        where = f" ({self.ending.out})" if self.ending.out else ""
        return f"the run is not done{where}, but {self.ending.state}: {self.ending.message or 'without a word'}"


def told(error: BaseException) -> str:
    """Return what is said of an error that ended a job."""
    return str(error) if isinstance(error, InputError) else traceback.format_exception_only(error)[-1].strip()


@dataclass(frozen=True)
class Measured(Ending):
    """How long a run would take, from a few of its steps.

    Attributes:
        step_seconds: median of a training step.
        steps: training steps an epoch.
        epoch_seconds: of an epoch, validation included.
        overhead: seconds before the first step and after the last.
    """

    step_seconds: float = 0.0
    steps: int = 0
    epoch_seconds: float = 0.0
    overhead: float = 0.0
