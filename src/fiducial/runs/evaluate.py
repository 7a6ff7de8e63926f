"""Score a run's checkpoint again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial.checkpoints import BEST, LAST
from fiducial.config.construction import component
from fiducial.data.module import DataModule
from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.runs import folder
from fiducial.runs.build import build_data, build_task, trainer_for
from fiducial.runs.quiet import quiet
from fiducial.tasks.base import Task


def evaluate(
    cfg: DictConfig, out: Path, *, split: str, checkpoint: str, explain: bool = False, layer: str | None = None
) -> dict[str, Any]:
    """Predict one split with a checkpoint of the run in `out`; write and return the scores.

    They go into a folder `evaluations/` of the run; the run itself stays as it is.

    Args:
        cfg: the run's configuration.
        out: its folder.
        split: to predict.
        checkpoint: "best" or "last".
        explain: map where a classifier looks, see `explain_split`.
        layer: of its network, that is mapped.
    """
    from fiducial.runs.outcome import Outcome

    if explain:
        from fiducial.runs.explain import check_explainable

        check_explainable(cfg)
    data, task, hardware = opened(cfg, out, split)
    weights, place = checkpoint_file(out, checkpoint), folder.of_evaluation(out)
    trainer = trainer_for(cfg, place, hardware, logger=None, callbacks=[])
    trainer.test(task, datamodule=data, ckpt_path=weights, verbose=False, weights_only=True)
    asked = OmegaConf.merge(cfg, {"select": checkpoint})  # the run may have selected another
    assert isinstance(asked, DictConfig)
    outcome = Outcome.of(asked, place, task, data, task.loaded_epoch)
    outcome.save()
    outcome.show()
    if explain:
        from fiducial.runs.explain import explain_split

        explain_split(cfg, data, checkpoint_file(out, checkpoint), place, split=split, layer=layer)
    return outcome.scores


def opened(cfg: DictConfig, out: Path, split: str) -> tuple[DataModule, Task, Hardware]:
    """Return data, task and hardware to test one split of the data with the run in `out`.

    Raises:
        InputError: the data come with other columns than those that the run learned from.
    """
    quiet()
    hardware: Hardware = component(cfg.hardware).alone()
    hardware.check()
    hardware.prepare()
    _check_columns(list(folder.config(out).data.spec.get("columns", ())), list(cfg.data.spec.columns))
    data = build_data(cfg)
    data.test_split = split
    task = build_task(cfg, data, hardware)
    if folder.is_finished(out):
        task.recall(folder.scores(out))
    return data, task, hardware


def _check_columns(learned: list[str], given: list[str]) -> None:
    if learned != given:
        raise InputError(
            f"the run learned from the columns {', '.join(learned) or 'none'}; these data give "
            f"{', '.join(given) or 'none'}. Categories that a table lacks are named by "
            "data.source.columns.categories={sex: [f, m]}"
        )


def checkpoint_file(out: Path, name: str) -> Path:
    """Return a run's checkpoint, "best" or "last".

    Raises:
        InputError: it is not there.
    """
    file = out / folder.CHECKPOINTS / (BEST if name == "best" else LAST)
    if not file.is_file():
        raise InputError(f"run {out} has no checkpoint {file.name}; a run writes one at the end of each epoch")
    return file
