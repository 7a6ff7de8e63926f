"""Which way a metric is better, told from its name."""

LOWER_IS_BETTER = (
    *("loss", "mae", "mse", "error", "false_positives"),
    *("hd95", "hausdorff", "assd", "asd", "tre", "distance"),
)


def lower_is_better(objective: str) -> bool:
    """Tell the direction of a metric from its name: losses, errors and distances fall, all else rises."""
    return objective.endswith(LOWER_IS_BETTER)
