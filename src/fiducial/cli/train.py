"""Fit, test and track a run. Every choice is an option of a group; every value can be set by its key."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fiducial.config import GROUPS, Composed, Groups, compose
from fiducial.config.composition import identity
from fiducial.errors import InputError

EXAMPLES = """examples:
  fiducial train                                                    the embedded default
  fiducial train data=breastmnist model=resnet18 epochs=20
  fiducial train optimizer=adamw optimizer.lr=3e-4 augment=light    set what an option leaves open
  fiducial train experiment=medmnist_resnet18 seed=1                a preset, then your own changes
  fiducial train -m optimizer.lr=1e-4,1e-3 seed=0,1,2               all combinations
  fiducial train resume=auto data=breastmnist                       go on with this command's interrupted run
  fiducial train resume=outputs/runs/NAME/WHEN                      go on with that run
  fiducial train data=breastmnist --cfg job                         print the configuration, run nothing
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("overrides", nargs="*", help="group=option or key=value, in Hydra's override grammar")
    parser.add_argument("-m", "--multirun", action="store_true", help="run every combination of a,b,c values")
    parser.add_argument("--cfg", choices=["job"], help="print the composed configuration and stop")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: replace ${…} by values")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of config groups of your own")
    parser.epilog = EXAMPLES + "\n" + _groups()


def run(args: argparse.Namespace) -> int:
    """Train; return 0, or 1 if a run of several failed."""
    if args.cfg:
        _print(compose(args.overrides, args.config_dir), resolve=args.resolve)
        return 0
    if args.multirun:
        return _train_all([compose(job, args.config_dir) for job in jobs(args.overrides, args.config_dir)])
    folder = _folder_to_resume(args.overrides)
    if folder:
        return _resume(folder)
    return _train(compose(args.overrides, args.config_dir))


def jobs(overrides: Sequence[str], config_dir: str | None) -> list[list[str]]:
    """Return the overrides of each run that a sweep consists of."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from fiducial.config.composition import prepare

    prepare(overrides, Groups.find(config_dir))
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]


def _train(composed: Composed) -> int:
    from fiducial.runs import folder
    from fiducial.runs.train import train

    outputs, key = Path(composed.cfg.outputs), identity(composed.resolved())
    if composed.cfg.resume == "auto" and (out := folder.latest(outputs, key)):
        return _resume(out)
    if _rank() > 0:
        return _join(outputs / "runs" / composed.cfg.name)
    out = folder.create(composed, key)
    train(folder.config(out), out)
    return 0


def _resume(out: Path) -> int:
    from fiducial.runs import folder
    from fiducial.runs.train import train

    if folder.is_finished(out):
        print(f"{out} is finished; nothing to do. `fiducial evaluate {out}` shows its scores")
        return 0
    train(folder.config(out), out, resume=True)
    return 0


def _folder_to_resume(overrides: Sequence[str]) -> Path | None:
    """Return the folder that `resume=FOLDER` names; everything else about the run is in it."""
    named = [line.removeprefix("resume=") for line in overrides if line.startswith("resume=")]
    if not named or named[-1] in ("auto", "null", ""):
        return None
    others = [line for line in overrides if not line.startswith(("resume=", "outputs="))]
    if others:
        raise InputError(
            f"resume={named[-1]} goes on with that run as it is; it cannot be changed by {' '.join(others)}. "
            "Start a new run for other settings"
        )
    from fiducial.runs import folder

    outputs = [line.removeprefix("outputs=") for line in overrides if line.startswith("outputs=")]
    return folder.find(named[-1], Path(outputs[-1] if outputs else "outputs"))


def _train_all(all_jobs: Sequence[Composed]) -> int:
    failed = []
    for number, composed in enumerate(all_jobs, start=1):
        print(f"[{number}/{len(all_jobs)}] {' '.join(composed.overrides)}")
        try:
            _train(composed)
        except Exception as error:
            failed.append((composed, error))
            print(f"fiducial: {error}", file=sys.stderr)
    for composed, error in failed:
        print(f"failed: {' '.join(composed.overrides)}: {(str(error).splitlines() or [''])[0]}", file=sys.stderr)
    return 1 if failed else 0


def _rank() -> int:
    """Return the number of this process where a launcher (SLURM, torchrun) started several."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))


def _join(parent: Path) -> int:
    from fiducial.runs import folder
    from fiducial.runs.peers import join

    join(folder.of_job(parent))
    return 0


def _print(composed: Composed, *, resolve: bool) -> None:
    from omegaconf import OmegaConf

    print(OmegaConf.to_yaml(composed.cfg, resolve=resolve), end="")


def _groups() -> str:
    groups = Groups.find()
    lines = [f"  {group:<12}{', '.join(groups.options(group))}" for group in GROUPS]
    return "groups and options (`fiducial options GROUP` says what each is):\n" + "\n".join(lines)
