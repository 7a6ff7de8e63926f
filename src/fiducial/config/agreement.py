"""Values that do not suit the images and labels that they are for, or each other.

A constructor checks some of this too, but only once torch is there. Classes of others may take the same arguments in
another sense, and are left to say so themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fiducial.config import extent
from fiducial.config.defaults import defaults
from fiducial.config.limits import BALANCED, CLASS_WEIGHTS
from fiducial.config.wrapped import WRAPPED
from fiducial.errors import InputError, nearest
from fiducial.objective import epoch_metrics

TASKS = "fiducial.tasks."
DATA, AUGMENT = "fiducial.data.module.DataModule", "fiducial.data.augment.Augment"
PLAIN_CNN, CNN_RNN = "fiducial.models.plain_cnn.PlainCNN", "fiducial.models.cnn_rnn.CNNRNN"
RENET, RESNET = "fiducial.models.renet.ReNet", "fiducial.models.resnet.ResNet"
FOCAL_SIGMOID = "monai.losses.FocalLoss"
SHAPES = ("size", "widths", "kernel_size", "pooling", "pool_after", "padding", "norm", "num_groups")


def check_agreement(cfg: DictConfig, found: Mapping[str, Any]) -> None:
    """Refuse values that do not suit the data, or each other.

    Args:
        cfg: a configuration that knows its data, at `data.spec`.
        found: its scalar settings, by dotted key.

    Raises:
        InputError: naming the key, what is expected, and what came.
    """
    spec = cfg.data.spec
    if found.get("data._target_") == DATA:
        _check_channels(found, spec.channels)
        _check_sampling(found, spec)
    if found.get("augment._target_") == AUGMENT:
        _check_augmentation(found, spec)
    for place in ("model", WRAPPED):
        _check_network(place, found)
    _check_class_weights(cfg.loss, found, spec)


def check_objectives(cfg: DictConfig, found: Mapping[str, Any]) -> None:
    """Refuse an objective that the task does not have; one of others' tasks is known when its first epoch has ended.

    Args:
        cfg: a configuration that knows its data, at `data.spec`.
        found: its scalar settings, by dotted key.

    Raises:
        InputError: naming the nearest one, and all that there are.
    """
    if not str(found.get("task._target_")).startswith(TASKS):
        return
    known = epoch_metrics(cfg.data.spec.target, found.get("task.classes", cfg.data.spec.classes))
    searched = [name for name in found.get("search.objectives", ()) if str(name).startswith("val/")]
    for key, name in (("objective", cfg.objective), *(("search.objectives", name) for name in searched)):
        if known and name not in known:
            raise InputError(no_such_metric(key, name, known))


def no_such_metric(key: str, name: str, known: list[str]) -> str:
    """Return what is said of an objective that there is not.

    Args:
        key: that names it.
        name: of it.
        known: all metrics that there are.
    """
    validated = sorted(one for one in known if one.startswith("val/"))
    return f"{key}={name}: there is no such metric{nearest(str(name), validated)} (available: {', '.join(validated)})"


def check_full_batch(cfg: DictConfig, given_by: str) -> None:
    """Refuse a number of cases in a batch.

    Args:
        cfg: a configuration whose optimizer takes the whole training split in each step.
        given_by: what gives the number, other than the data's own option; empty if nothing does.

    Raises:
        InputError: it would have no effect.
    """
    size = cfg.data.get("batch_size", "full")
    if given_by and size != "full":
        raise InputError(
            f"data.batch_size={size}, given by {given_by}, has no effect: this optimizer takes the whole training "
            "split in each step. Do without (~data.batch_size), or take optimizer=sgd optimizer.momentum=0 "
            "optimizer.nesterov=false"
        )


def num_outputs(head: str, target: str, num_classes: int) -> int:
    """Return how many values a network gives: one per class, level or label; a sigmoid alone for binary."""
    if head == "ordinal":
        return num_classes - 1
    return 1 if head == "sigmoid" and target == "binary" else num_classes


def _check_channels(found: Mapping[str, Any], channels: int) -> None:
    for key in ("data.mean", "data.std"):
        value = found.get(key)
        if isinstance(value, list) and len(value) not in (1, channels):
            raise InputError(f"{key}: expected one value or {channels}, one per channel; got {value}")
    if found.get("data.channel_dropout") and channels == 1:
        raise InputError("data.channel_dropout is for images of several channels, one of which always stays; got one")
    missing = found.get("data.missing", [])
    if not set(missing) < set(range(channels)):
        raise InputError(f"data.missing must be some, and not all, of the channels 0 to {channels - 1}; got {missing}")


def _check_sampling(found: Mapping[str, Any], spec: DictConfig) -> None:
    if found.get("data.sampling") == "balanced" and spec.target in ("mask", "boxes"):
        hint = "; for masks data.patches.foreground balances classes" if spec.target == "mask" else ""
        raise InputError(f"data.sampling=balanced is for labels; these cases have {spec.target}{hint}")
    for name in ("size", "window"):
        value = found.get(f"data.patches.{name}")
        if spec.target == "mask" and value is not None and len(value) != spec.spatial_dims:
            raise InputError(
                f"data.patches.{name} must have {spec.spatial_dims} extents, as the images have axes; got {value}"
            )


def _check_augmentation(found: Mapping[str, Any], spec: DictConfig) -> None:
    for key in ("augment.zoom", "augment.gamma"):
        bounds = found.get(key, [1, 1])
        if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
            raise InputError(f"{key} must be [low, high] with 0 < low <= high; got {bounds}")
    dims, axes = spec.spatial_dims, found.get("augment.flip_axes", [])
    if any(not -dims <= axis < dims for axis in axes):
        raise InputError(
            f"augment.flip_axes: images have {dims} axes, numbered 0 to {dims - 1}, or -{dims} to -1; got {axes}"
        )
    if spec.sequence and any(axis % dims == 0 for axis in axes):
        raise InputError(
            "augment.flip_axes: the first axis of sequences runs over their frames, which keep their order; "
            f"expected axes among 1, 2 (-2, -1), got {axes}"
        )


def _check_network(place: str, found: Mapping[str, Any]) -> None:
    target = found.get(f"{place}._target_")
    if target not in (PLAIN_CNN, CNN_RNN, RENET, RESNET):
        return
    given = {key.removeprefix(f"{place}."): value for key, value in found.items() if key.startswith(f"{place}.")}
    options = {**defaults(target), **given}
    if target == RESNET:
        if len(options["widths"]) != 4:
            raise InputError(f"{place}.widths must have one entry for each of four stages; got {options['widths']}")
        return
    if target == RENET:
        patch, layers = options["patch"], options["num_layers"]
        if isinstance(patch, list) and len(patch) != layers:
            raise InputError(f"{place}.patch must have one entry for each of {layers} layers; got {patch}")
        return
    if target == CNN_RNN:
        options |= {"size": options["size"][1:], "pooling": "max", "pool_after": None, "padding": "same"}
    try:
        list(extent.blocks(**{name: options[name] for name in SHAPES}))
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _check_class_weights(loss: DictConfig, found: Mapping[str, Any], spec: DictConfig) -> None:
    head = OmegaConf.select(loss, "contract.head")
    outputs = num_outputs(head, spec.target, spec.num_classes)
    for key in CLASS_WEIGHTS:
        if (value := found.get(key)) is None:
            continue
        if key == "loss.weight" and outputs == 1 and loss["_target_"] == FOCAL_SIGMOID:
            raise InputError(
                "loss.weight is for several labels; of one output loss.alpha says how much the positives weigh, from 0 "
                "to 1, as in loss.alpha=0.75"
            )
        if key == "loss.weight" and value == BALANCED and head != "softmax":
            raise InputError("loss.weight=balanced is for classes one of which is true; loss.pos_weight=balanced fits")
        if value != BALANCED and len(value) != outputs:
            raise InputError(f"{key}: expected balanced or {outputs} numbers, got {len(value)}")
        if OmegaConf.select(loss, "contract.weights") == "foreground" and outputs == 2:
            raise InputError(f"{key}: expected several classes beside the background, got one")
