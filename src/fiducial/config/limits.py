"""Values that no run can use, whatever its options: numbers out of their range, and what else is told at once.

A constructor checks its own arguments, but only once torch is there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial.config.defaults import defaults
from fiducial.errors import InputError, nearest
from fiducial.redaction import has_credentials

Range = tuple[float, float | None]
COUNT: Range = (1, None)
NOT_NEGATIVE: Range = (0, None)
PART: Range = (0, 1)
# By group, and by the last part of the key: a network that is wrapped keeps the same ranges.
RANGES: dict[str, dict[str, Range]] = {
    "": {"seed": NOT_NEGATIVE},
    "data": {
        **dict.fromkeys(("batch_size", "images_per_subject", "num_subjects", "per_case"), COUNT),
        **dict.fromkeys(("num_workers", "seed"), NOT_NEGATIVE),
        **dict.fromkeys(("channel_dropout", "foreground"), PART),
        "num_folds": (2, None),
        "std": (1e-9, None),
    },
    "model": {
        **dict.fromkeys(("kernel_size", "widths", "dense", "channels", "hidden"), COUNT),
        **dict.fromkeys(("num_layers", "num_features", "num_groups", "patch"), COUNT),
        **dict.fromkeys(("dropout", "conv_dropout", "dropout_prob", "dropout_rate"), PART),
    },
    "loss": {"gamma": NOT_NEGATIVE, "label_smoothing": PART},
    "optimizer": {**dict.fromkeys(("lr", "weight_decay", "momentum", "eps"), NOT_NEGATIVE), "betas": PART},
    "scheduler": {"T_max": COUNT},
    "task": {
        **dict.fromkeys(("threshold", "hit", "min_score", "doubles"), PART),
        "overlap": (0, 0.99),
        **dict.fromkeys(("windows_at_once", "max_boxes"), COUNT),
        "tolerance": NOT_NEGATIVE,
    },
    "augment": {
        **dict.fromkeys(("shift", "brightness", "contrast", "noise"), NOT_NEGATIVE),
        "probability": PART,
        "rotate": (0, 180),
    },
    "hardware": {**dict.fromkeys(("threads", "devices", "num_nodes", "accumulate"), COUNT), "clip_norm": (1e-9, None)},
}
CLASS_WEIGHTS, BALANCED = ("loss.weight", "loss.pos_weight"), "balanced"


def check_values(cfg: DictConfig, found: Mapping[str, Any]) -> None:
    """Refuse values that no run can use.

    Args:
        cfg: a configuration that knows its data, at `data.spec`.
        found: its scalar settings, by dotted key.

    Raises:
        InputError: naming the key, what is expected, and what came.
    """
    for key, value in found.items():
        limits = RANGES.get(key.partition(".")[0] if "." in key else "", {}).get(key.rpartition(".")[2])
        if limits and not all(_within(number, limits) for number in _numbers(value)):
            finite = "" if all(map(math.isfinite, _numbers(value))) else ", and finite"
            raise InputError(f"{key} must be {_text(limits)}{finite}; got {value}")
    count = found.get("data.num_folds", defaults(str(found.get("data._target_"))).get("num_folds"))
    fold = found.get("data.fold")
    if isinstance(fold, int) and isinstance(count, int) and not 0 <= fold < count:
        raise InputError(f"data.fold: expected 0 to {count - 1}, for data.num_folds={count}; got {fold}")
    if found.get("data.test_folds") is True and fold is None:
        raise InputError(
            "data.test_folds=true needs data.fold, the one that is tested; for all: -m data.fold=0,1,2,3,4"
        )
    if found.get("optimizer.nesterov") is True and not found.get("optimizer.momentum"):
        raise InputError("optimizer.nesterov=true is for a momentum above 0; plain descent: optimizer.nesterov=false")
    for stage, use in (("train", "learn from"), ("val", "select a checkpoint by"), ("test", "score")):
        if found.get(f"trainer.limit_{stage}_batches") == 0:
            raise InputError(f"trainer.limit_{stage}_batches=0 leaves nothing to {use}; 1 is the least")
    if "task.threshold" in found and _num_masks(cfg) not in (0, 2) and found["task.threshold"] != 0.5:
        raise InputError(f"task.threshold is for two classes of pixels; data.spec.num_classes is {_num_masks(cfg)}")
    for name in OmegaConf.select(cfg, "scheduler.contract.fills") or ():
        if f"scheduler.{name}" in found:
            raise InputError(f"scheduler.{name} is filled in by the run itself when training begins; leave it out")
    if found.get("task.scores") == []:
        raise InputError("task.scores: expected one or more, got none; leave it out for those that suit the task")
    for key in CLASS_WEIGHTS:
        _check_class_weights(key, found.get(key))
    _check_address(found.get("tracking.uri"))


def _num_masks(cfg: DictConfig) -> int:
    """Return the number of classes of masks; 0 where the data have none."""
    spec = OmegaConf.select(cfg, "data.spec") or {}
    return int(spec.get("num_classes", 0)) if spec.get("target") == "mask" else 0


def _numbers(value: Any) -> Iterator[float]:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, int | float) and not isinstance(number, bool):
            yield number


def _within(number: float, limits: Range) -> bool:
    low, high = limits
    return low <= number < math.inf and (high is None or number <= high)  # NaN is nowhere


def _text(limits: Range) -> str:
    low, high = limits
    return f"at least {low}" if high is None else f"between {low} and {high}"


def _check_class_weights(key: str, value: Any) -> None:
    """Refuse weights of classes that are neither numbers nor `balanced`, which is the run's own word."""
    numbers = isinstance(value, list) and len(list(_numbers(value))) == len(value)
    if value not in (None, BALANCED) and not numbers:
        raise InputError(
            f"{key}: expected {BALANCED}, or a number for each class; got {value!r}{nearest(str(value), [BALANCED])}"
        )


def _check_address(uri: Any) -> None:
    """Refuse an address with a password: the configuration is written into the run's folder, for a resume to read."""
    if not isinstance(uri, str) or "://" not in uri:  # `embedded`, `env`
        return
    if has_credentials(uri):
        raise InputError(
            "tracking.uri: an address with a password or a token ends up in the run's folder and in shell histories. "
            "Leave it out, for the environment has it: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the "
            "whole address as MLFLOW_TRACKING_URI with tracking=server"
        )
