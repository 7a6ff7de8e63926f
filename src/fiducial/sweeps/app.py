"""Runs as jobs of Hydra's own: `python -m fiducial.sweeps.app -m hydra/launcher=fiducial seed=0,1`.

For whoever has launchers, sweepers or callbacks of Hydra's; `fiducial train -m` does more and needs none of it.
"""

from __future__ import annotations

from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fiducial.config import conf_dir
from fiducial.config.composition import register
from fiducial.config.location import ROOT
from fiducial.sweeps.job import Ending, RunError, Spec
from fiducial.sweeps.launcher import own_folder

NAME = "app"
LEFT_OUT = (
    "env",
    "help",
    "hydra_help",
    "hydra_logging",
    "job_logging",
    "output",
)  # by conf/config.yaml, of Hydra's own


def job(cfg: DictConfig) -> Ending:
    """Train the run that the overrides of Hydra's job ask for; return how it ended.

    Raises:
        RunError: it did not come to its end.
    """
    from fiducial.sweeps.worker import execute  # brings torch

    known: Any = HydraConfig.get()
    ending = execute(Spec(known.job.get("num", 0), tuple(known.overrides.task), own_folder(known), "", ""))
    if ending.state == "stopped":
        raise KeyboardInterrupt  # also of the jobs that would come next
    if ending.state != "done":
        raise RunError(ending)
    return ending


def main() -> None:
    """Be an app of Hydra's, over the groups of Fiducial."""
    register()
    back = [{f"override hydra/{group}": "default"} for group in LEFT_OUT]
    ConfigStore.instance().store(name=NAME, node={"defaults": [ROOT, *back, "_self_"]})
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=NAME)(job)()


if __name__ == "__main__":
    main()
