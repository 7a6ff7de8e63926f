"""From a run's configuration to its data, task and trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from fiducial.checkpoints import AtomicCheckpointIO, Checkpoints
from fiducial.config.agreement import num_outputs
from fiducial.config.construction import component
from fiducial.config.limits import BALANCED, CLASS_WEIGHTS
from fiducial.config.scalars import described
from fiducial.data.balance import class_counts
from fiducial.data.kept import kept
from fiducial.data.module import DataModule
from fiducial.errors import InputError
from fiducial.hardware import Hardware, build_trainer
from fiducial.models.filled import Filled
from fiducial.objective import lower_is_better
from fiducial.reports.progress import Progress
from fiducial.runs import folder
from fiducial.runs.profile import Profile
from fiducial.tasks.base import Schedule, Task
from fiducial.tracking import NullRun, Run


def build_model(cfg: DictConfig) -> torch.nn.Module:
    """Return the network; with learned values before it in place of missing channels, unless it leaves these out."""
    model = component(cfg.model)
    assert isinstance(model, torch.nn.Module)
    if cfg.data.get("fill") != "learned" or getattr(model, "takes_present", False):
        return model
    return Filled(model, cfg.data.spec.channels)


def build_data(cfg: DictConfig, tested: str | None = None) -> DataModule:
    """Return the data module; its table of cases is read and checked.

    Args:
        cfg: the configuration.
        tested: of cases that nothing is learned from the split to test, see `DataModule.test_alone`.
    """
    known: dict[str, Any] = {"batch_size": "full"} if _contract(cfg.optimizer).get("full_batch") else {}
    if source := kept(described(cfg.data.source)):
        known["source"] = source
    data = component(cfg.data, seed=cfg.seed, augment=component(cfg.augment), **known)
    assert isinstance(data, DataModule)
    if tested is not None:
        data.test_alone(tested)
    data.prepare_data()
    return data


def build_task(cfg: DictConfig, data: DataModule, hardware: Hardware) -> Task:
    """Return the task with its network, the same for the same seed."""
    model = build_model(cfg)
    hardware.lay_out(model)
    task = component(
        cfg.task,
        model=model,
        loss=component(cfg.loss, **_class_weights(cfg.loss, data)),
        optimizer=component(cfg.optimizer),
        schedule=_schedule(cfg.scheduler),
        objective=cfg.objective,
        objective_mode="min" if lower_is_better(cfg.objective) else "max",
        target=cfg.data.spec.target,
        num_classes=cfg.data.spec.num_classes,
        contract=_contract(cfg.loss),
        seed=cfg.seed,
        memory_format=hardware.memory_format,
    )()
    assert isinstance(task, Task)
    if hardware.compile:
        model.compile()
    return task


def build_network(cfg: DictConfig, hardware: Hardware, checkpoint: Path) -> torch.nn.Module:
    """Return the network of a run with the weights of a checkpoint, ready to predict."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    network = build_model(cfg)
    network.load_state_dict({name[6:]: value for name, value in state.items() if name.startswith("model.")})
    return network.eval().to(hardware.device_type)


def build_callbacks(cfg: DictConfig, out: Path, run: Run | NullRun) -> list[pl.Callback]:
    """Return what acts between epochs."""
    checkpoints = Checkpoints(
        out / folder.CHECKPOINTS,
        cfg.objective,
        patience=cfg.patience,
        goal=_contract(cfg.task).get("goal"),
        beforehand=run.flush,
    )
    profile = [Profile(out / folder.PROFILE, run)] if _is_profiled(cfg) else []
    return [checkpoints, Progress(cfg.objective), *profile]


def _is_profiled(cfg: DictConfig) -> bool:
    return bool(cfg.trainer.get("profiler") == "pytorch")


def trainer_for(
    cfg: DictConfig, out: Path, hardware: Hardware, *, logger: Logger | None, callbacks: list[pl.Callback]
) -> pl.Trainer:
    """Return the trainer of a run."""
    arguments = OmegaConf.to_container(cfg.trainer, resolve=True)
    assert isinstance(arguments, dict)
    if _is_profiled(cfg):
        del arguments["profiler"]  # Lightning's own leaves traces of single stages under names of its own
    return build_trainer(
        hardware,
        out=out,
        epochs=cfg.epochs,
        logger=logger,
        callbacks=callbacks,
        checkpoint_io=AtomicCheckpointIO(),
        arguments={str(name): value for name, value in arguments.items()},
    )


def _contract(node: Any) -> dict[str, Any]:
    contract = OmegaConf.to_container(node.get("contract") or OmegaConf.create({}), resolve=True) if node else {}
    assert isinstance(contract, dict)
    return {str(key): value for key, value in contract.items()}


def _schedule(node: Any) -> Schedule | None:
    if not node or "_target_" not in node:
        return None
    contract = {key: value for key, value in _contract(node).items() if key != "requires"}
    return Schedule(make=component(node), **contract)


def _class_weights(loss: DictConfig, data: DataModule) -> dict[str, torch.Tensor]:
    """Return the loss's `weight` and `pos_weight` as tensors; "balanced" ones from the training split's counts.

    Balanced weight of a class: cases / (classes × its cases), as scikit-learn has it; balanced pos_weight of a
    label: cases without it / cases with it; of a level of ordered classes: cases up to it / cases above it. A single
    sigmoid output has one pos_weight. Of masks, pixels count.
    """
    contract, spec, weights = _contract(loss), data.spec, {}
    for key in (name.removeprefix("loss.") for name in CLASS_WEIGHTS):
        if (value := loss.get(key)) is None:
            continue
        if value == BALANCED:
            outputs = num_outputs(contract["head"], spec.target, spec.num_classes)
            numbers = _balanced(key, data, contract["head"])[-outputs:]
        else:
            numbers = torch.tensor(list(value))
        weights[key] = (numbers[1:] if contract.get("weights") == "foreground" else numbers).float()
    return weights


def _balanced(key: str, data: DataModule, head: str) -> torch.Tensor:
    if data.alone:  # those of the run come with its checkpoint
        return torch.ones(data.spec.num_classes - (head == "ordinal"))
    if head == "ordinal":
        cases = class_counts(data.cases, data.spec.num_classes).double()
        above = cases.flip(0).cumsum(0).flip(0)[1:]
        if (above == 0).any() or (above == cases.sum()).any():
            raise InputError(f"loss.{key}=balanced: the training cases are all below, or all above, one of the levels")
        return (cases.sum() - above) / above
    if data.spec.target == "mask":
        counts = data.pixel_counts().double()
        total = float(counts.sum())
    else:
        counts, total = class_counts(data.cases, data.spec.num_classes).double(), float(len(data.rows("train")))
    if (counts == 0).any():
        empty = [name for name, count in zip(data.spec.classes, counts, strict=True) if count == 0]
        raise InputError(f"loss.{key}=balanced: no training case is of class {', '.join(empty)}")
    return total / (len(counts) * counts) if key == "weight" else (total - counts) / counts
