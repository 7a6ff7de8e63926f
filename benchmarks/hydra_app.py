"""The job of `sweeps.py` as a Hydra application of the usual kind, for Hydra's own launchers."""

from __future__ import annotations

import os

import hydra
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=None)
def app(cfg: DictConfig) -> None:
    """Train once."""
    from fiducial.config import compose
    from fiducial.runs import folder
    from fiducial.runs.train import train

    composed = compose([*os.environ["JOB"].split(), f"optimizer.lr={cfg.lr}", f"seed={cfg.seed}"])
    out = folder.create(composed, composed.identity())
    train(folder.config(out), out)


if __name__ == "__main__":
    app()
