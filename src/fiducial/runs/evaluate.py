"""Score a run's checkpoint again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial.checkpoints import selected
from fiducial.config.construction import component
from fiducial.config.defaults import defaults
from fiducial.config.scalars import described
from fiducial.data.module import DataModule
from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.runs import folder
from fiducial.runs.build import build_data, build_task, trainer_for
from fiducial.runs.quiet import quiet
from fiducial.tasks.base import Task
from fiducial.tasks.detection import Detection
from fiducial.wording import counted

CHOICES = ("threshold", "postprocessing")  # options of tasks that a test may be left to choose


def evaluate(
    cfg: DictConfig, out: Path, *, split: str, checkpoint: str, explain: bool = False, layer: str | None = None
) -> dict[str, Any]:
    """Predict one split with a checkpoint of the run in `out`; write and return the scores.

    They go into a folder `evaluations/` of the run; the run itself stays as it is.

    Args:
        cfg: the run's configuration.
        out: its folder.
        split: to predict; "all" for every case of other data than the run learned from.
        checkpoint: "best" or "last".
        explain: map where a classifier looks, see `explain_split`.
        layer: of its network, that is mapped.
    """
    from fiducial.runs.outcome import Outcome

    if explain:
        from fiducial.runs.explain import check_explainable

        check_explainable(cfg)
    data, task, hardware = opened(cfg, out, split)
    weights, place = selected(out / folder.CHECKPOINTS, checkpoint), folder.of_evaluation(out)
    trainer = trainer_for(cfg, place, hardware, logger=None, callbacks=[])
    with _fitting(cfg, out):
        trainer.test(task, datamodule=data, ckpt_path=weights, verbose=False, weights_only=True)
    asked = OmegaConf.merge(cfg, {"select": checkpoint})  # the run may have selected another
    assert isinstance(asked, DictConfig)
    outcome = Outcome.of(asked, place, task, data, task.loaded_epoch)
    outcome.save()
    outcome.show()
    if explain:
        from fiducial.runs.explain import explain_split

        explain_split(cfg, data, weights, place, split=data.test_split, layer=layer)
    return outcome.scores


def opened(cfg: DictConfig, out: Path, split: str) -> tuple[DataModule, Task, Hardware]:
    """Return data, task and hardware to test one split of the data with the run in `out`.

    Raises:
        InputError: the data have other columns or classes than those that the run learned, or all cases of its own data
            are to be tested.
    """
    quiet()
    hardware: Hardware = component(cfg.hardware).alone()
    hardware.check()
    hardware.prepare()
    own = folder.config(out).data
    _check_columns(list(own.spec.get("columns", ())), list(cfg.data.spec.columns))
    _check_classes(list(own.spec.classes), list(cfg.data.spec.classes))
    learned, given = (described(data.source) for data in (own, cfg.data))
    taken_over = {"classes": None, "size": None}  # which a table is given, see `changed`
    elsewhere = {**learned, **taken_over} != {**given, **taken_over}
    if split == "all" and not elsewhere:
        raise InputError("--split all is for data that the run did not learn from: name them (data=…)")
    data = build_data(cfg, split if elsewhere else None)
    if elsewhere:
        if (tested := len(data.rows(data.test_split))) < len(data.cases):
            print(f"the {split} split has {tested} of {len(data.cases)} cases; --split all scores them all")
    else:
        data.test_split = split
    task = build_task(cfg, data, hardware)
    _decide(task, cfg, out, elsewhere=elsewhere)
    return data, task, hardware


def _decide(task: Task, cfg: DictConfig, out: Path, *, elsewhere: bool) -> None:
    """Let the run's own test decide what it was left to choose; no other data may.

    Raises:
        InputError: a choice is left, and the data are not those that the run learned from; or it is made in training.
    """
    learned = folder.config(out).task
    known = defaults(str(learned._target_))
    choices = [name for name in CHOICES if learned.get(name, known.get(name)) == "choose"]
    if folder.is_finished(out):
        task.adopt(folder.scores(out), choices)
    if elsewhere and (left := task.undecided()):
        names = " and ".join(f"task.{name}" for name in left)
        raise InputError(
            f"{names}: to be chosen by the run's test on its own validation split, not on other data; let that test be "
            f"first (fiducial train resume={out.name}), or give a value"
        )
    if isinstance(task, Detection) and cfg.task.get("threshold") == "choose" and "threshold" not in choices:
        raise InputError(
            "task.threshold=choose is for training, which chooses; this run was trained with "
            f"{learned.get('threshold', known.get('threshold'))}: give a number"
        )


def _check_columns(learned: list[str], given: list[str]) -> None:
    if learned != given:
        raise InputError(
            f"the run learned from the columns {', '.join(learned) or 'none'}; these data give "
            f"{', '.join(given) or 'none'}. Categories that a table lacks are named by "
            "data.source.columns.categories={sex: [f, m]}"
        )


def _check_classes(learned: list[str], given: list[str]) -> None:
    """Refuse data whose classes have the numbers of others that the run learned; say which stand for which."""
    if learned == given:
        return
    how = f"data.source.classes=[{','.join(learned)}] gives them the run's numbers, where the source takes them"
    if len(learned) != len(given) or any(
        name in learned and learned.index(name) != place for place, name in enumerate(given)
    ):
        raise InputError(
            f"the run learned the classes {', '.join(learned)}; these data have {', '.join(given)}, in that order. "
            f"{how}"
        )
    pairs = (f"{name} for {own}" for name, own in zip(given, learned, strict=True) if name != own)
    print(f"classes are taken by their numbers: {', '.join(pairs)}")


@contextmanager
def _fitting(cfg: DictConfig, out: Path) -> Iterator[None]:
    """Turn weights that do not fit a network made for other images into a message that says so.

    Raises:
        InputError: the weights do not fit.
    """
    try:
        yield
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        learned, given = (
            f"{' × '.join(map(str, one.size))} with {counted(one.channels, 'channel')}"
            for one in (folder.config(out).data.spec, cfg.data.spec)
        )
        raise InputError(
            f"the run's weights do not fit a network for these images: it learned images of {learned}, and these are "
            f"{given}; data.source.size and data.source.channels, where the source takes them, bring them to that"
        ) from error
