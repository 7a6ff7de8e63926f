"""Metrics that can be a run's objective: what they are called, and which way each is better."""

from __future__ import annotations

from collections.abc import Sequence

LOWER_IS_BETTER = (
    *("loss", "mae", "mse", "error", "false_positives"),
    *("hd95", "hausdorff", "assd", "asd", "tre", "distance"),
)
SIGNED = ("volume_error",)  # too little is as bad as too much: the size counts
STAGES = ("train", "val", "test")
OF_LABELS = (
    *("accuracy", "auroc", "average_precision", "balanced_accuracy", "calibration_error"),
    *("f1", "precision", "recall", "specificity"),
)
OF_BOXES = ("cpm", "map_50", "image_auroc")  # of validation: no boxes are decoded in training
SCORES = {
    **dict.fromkeys(("binary", "multiclass", "multilabel"), OF_LABELS),
    "ordinal": (*OF_LABELS, "mae", "quadratic_kappa"),
    "mask": ("dice",),
    "boxes": OF_BOXES,
}


def lower_is_better(objective: str) -> bool:
    """Tell the direction of a metric from its name: losses, errors and distances fall, all else rises.

    >>> lower_is_better("val/calibration_error"), lower_is_better("hd95/tumour"), lower_is_better("val/dice/centre")
    (True, True, False)
    """
    parts = objective.split("/")  # stage, metric, class
    metric = parts[1] if parts[0] in STAGES and len(parts) > 1 else parts[0]
    return metric in LOWER_IS_BETTER or metric.endswith(tuple(f"_{word}" for word in LOWER_IS_BETTER))


def epoch_metrics(target: str, classes: Sequence[str]) -> list[str]:
    """Return the names of what `fiducial.tasks` know at the end of each epoch; none for a kind of label of others.

    Args:
        target: kind of label, see `fiducial.data.source.Spec`.
        classes: their names; of masks the background first.

    >>> epoch_metrics("mask", ("background", "left", "right"))[1:4]
    ['val/dice', 'val/dice/left', 'val/dice/right']
    """
    if target not in SCORES:
        return []
    each = [f"dice/{name}" for name in classes[1:]] if target == "mask" and len(classes) > 2 else []
    names = ["loss", *SCORES[target], *each]
    return [f"val/{name}" for name in names] + [f"train/{name}" for name in (names if target != "boxes" else names[:1])]
