"""Which way a metric is better, told from its name."""

LOWER_IS_BETTER = (
    *("loss", "mae", "mse", "error", "false_positives"),
    *("hd95", "hausdorff", "assd", "asd", "tre", "distance"),
)
SIGNED = ("volume_error",)  # too little is as bad as too much: the size counts
STAGES = ("train", "val", "test")


def lower_is_better(objective: str) -> bool:
    """Tell the direction of a metric from its name: losses, errors and distances fall, all else rises.

    >>> lower_is_better("val/calibration_error"), lower_is_better("hd95/tumour"), lower_is_better("val/dice/centre")
    (True, True, False)
    """
    parts = objective.split("/")  # stage, metric, class
    metric = parts[1] if parts[0] in STAGES and len(parts) > 1 else parts[0]
    return metric in LOWER_IS_BETTER or metric.endswith(tuple(f"_{word}" for word in LOWER_IS_BETTER))
