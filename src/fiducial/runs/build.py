"""From a run's configuration to its data, task and trainer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import Logger

from fiducial.checkpoints import AtomicCheckpointIO, Checkpoints, lower_is_better
from fiducial.data.module import DataModule, class_counts
from fiducial.errors import InputError
from fiducial.hardware import Hardware, build_trainer
from fiducial.runs import folder
from fiducial.tasks.base import Schedule, Task


def component(cfg: Any, **arguments: Any) -> Any:
    """Build what a configuration node describes; its `contract` is for the framework, not for the class.

    Raises:
        InputError: the class refused its arguments.
    """
    if not cfg or "_target_" not in cfg:
        return None
    node = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(node, dict)
    node.pop("contract", None)
    try:
        return instantiate(node, **arguments)
    except HydraException as error:
        cause = error.__cause__ or error
        if isinstance(cause, InputError):
            raise cause from error
        raise InputError(f"{node['_target_']} could not be built: {cause}") from error


def build_data(cfg: DictConfig) -> DataModule:
    """Return the data module; its table of cases is read and checked."""
    batch_size = {"batch_size": "full"} if _contract(cfg.optimizer).get("full_batch") else {}
    data = component(cfg.data, seed=cfg.seed, augment=component(cfg.augment), **batch_size)
    assert isinstance(data, DataModule)
    data.prepare_data()
    return data


def build_task(cfg: DictConfig, data: DataModule, hardware: Hardware) -> Task:
    """Return the task with its network, the same for the same seed."""
    model = component(cfg.model)
    model.to(memory_format=hardware.memory_format)
    task = component(
        cfg.task,
        model=model,
        loss=component(_balanced(cfg.loss, data)),
        optimizer=component(cfg.optimizer),
        schedule=_schedule(cfg.scheduler),
        objective=cfg.objective,
        target=cfg.data.spec.target,
        num_classes=cfg.data.spec.num_classes,
        contract=_contract(cfg.loss),
        seed=cfg.seed,
        memory_format=hardware.memory_format,
    )()
    assert isinstance(task, Task)
    if hardware.compile:
        task.network = torch.compile(model)
    return task


def build_callbacks(cfg: DictConfig, out: Path) -> list[pl.Callback]:
    """Return what acts between epochs: checkpoints, early stopping."""
    callbacks: list[pl.Callback] = [Checkpoints(out / folder.CHECKPOINTS, cfg.objective)]
    if cfg.patience is not None:
        mode = "min" if lower_is_better(cfg.objective) else "max"
        callbacks.append(EarlyStopping(cfg.objective, patience=cfg.patience, mode=mode))
    return callbacks


def trainer_for(
    cfg: DictConfig, out: Path, hardware: Hardware, *, logger: Logger | None, callbacks: list[pl.Callback]
) -> pl.Trainer:
    """Return the trainer of a run."""
    return build_trainer(
        hardware,
        out=out,
        epochs=cfg.epochs,
        logger=logger,
        callbacks=callbacks,
        checkpoint_io=AtomicCheckpointIO(),
        arguments=OmegaConf.to_container(cfg.trainer, resolve=True),  # type: ignore[arg-type]
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


def _balanced(loss: DictConfig, data: DataModule) -> DictConfig:
    """Replace `weight: balanced` and `pos_weight: balanced` by weights from the training split's counts.

    weight of a class: cases / (classes × its cases); pos_weight of a label: cases without / cases with it.
    """
    wanted = [key for key in ("weight", "pos_weight") if loss.get(key) == "balanced"]
    if not wanted:
        return loss
    counts = class_counts(data.cases, data.spec.num_classes).double()
    if (counts == 0).any():
        empty = [name for name, count in zip(data.spec.classes, counts, strict=True) if count == 0]
        raise InputError(f"loss.{wanted[0]}=balanced: no training case is of class {', '.join(empty)}")
    total = len(data.rows("train"))
    weights: Mapping[str, torch.Tensor] = {
        "weight": total / (len(counts) * counts),
        "pos_weight": ((total - counts) / counts)[1:] if data.spec.target == "binary" else (total - counts) / counts,
    }
    tensors = {k: {"_target_": "torch.tensor", "data": weights[k].float().tolist()} for k in wanted}
    return OmegaConf.merge(loss, tensors)  # type: ignore[return-value]
