"""What libraries report that is no news to the person who runs an experiment."""

from __future__ import annotations

import logging
import warnings

MESSAGES = (
    r".*treespec, LeafSpec.*",  # Lightning's own use of torch
    r"The number of training batches .* is smaller than the logging interval.*",  # scores are logged by epoch
    r"Be aware that when using `ckpt_path`, callbacks .*",  # to evaluate needs none of them
    r".*does not have many workers.*",  # a batch is one gather from memory
    r"It is recommended to use `self.log\(.*sync_dist=True\)`.*",  # scores are the same in every process
)


def quiet() -> None:
    """Leave out these messages; errors and all other warnings stay."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in MESSAGES:
        warnings.filterwarnings("ignore", message=message)
