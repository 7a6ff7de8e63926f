"""Fit, test and track a run. Every choice is an option of a group; every value can be set by its key.

Arguments of a class that an option does not mention can be set too: model.dropout=0.2. Other classes are named
by _target_, in options of your own (--config-dir ./mine, with mine/model/NAME.yaml) or on the command line; a
class of your own is found in the current folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from fiducial import ranks
from fiducial.cli.options import groups_and_options
from fiducial.config import Groups
from fiducial.errors import InputError
from fiducial.garbage import spared

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from fiducial.config import Composed
    from fiducial.sweeps.estimate import Estimate
    from fiducial.sweeps.plan import Plan
    from fiducial.sweeps.search.search import Search

EXAMPLES = """examples:
  fiducial train                                                    the embedded default
  fiducial train data=breastmnist model=resnet18 epochs=20
  fiducial train optimizer=adamw optimizer.lr=3e-4 augment=light    set what an option leaves open
  fiducial train experiment=medmnist_resnet18 seed=1                a preset, then your own changes
  fiducial train -m optimizer.lr=1e-4,1e-3 seed=0,1,2               all combinations; --plan: what would run
  fiducial train -m search=tpe optimizer.lr='tag(log,interval(1e-5,1e-1))'   settings proposed by Optuna
  fiducial train --config-dir mine data=hospital                    mine/data/hospital.yaml: your own option
  fiducial train resume=auto data=breastmnist                       go on with this command's interrupted run
  fiducial train resume=outputs/runs/NAME/WHEN                      go on with that run
  fiducial train data=breastmnist --cfg job                         print the configuration, run nothing
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("overrides", nargs="*", help="group=option or key=value, in Hydra's override grammar")
    parser.add_argument("-m", "--multirun", action="store_true", help="run every combination of a,b,c values")
    parser.add_argument("--plan", action="store_true", help="with -m: print what would run and how long it would take")
    parser.add_argument(
        "--max-hours", type=float, metavar="H", help="with -m: measure first, and ask if it takes longer"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--cfg", choices=["job"], help="print the composed configuration and stop")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: replace ${…} by values")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of config groups of your own")
    parser.epilog = f"{EXAMPLES}\n{groups_and_options()}"


def run(args: argparse.Namespace) -> int:
    """Train; return 0."""
    if args.resolve and not args.cfg:
        raise InputError("--resolve is for --cfg job: it prints values in the place of ${…}")
    if (args.plan or args.max_hours is not None) and (args.cfg or not args.multirun):
        raise InputError("--plan and --max-hours are for sweeps: add -m, and leave --cfg out")
    if not args.multirun and not args.cfg and (out := _folder_to_resume(args.overrides)):
        return _resume(out)
    if args.multirun and not args.cfg:
        return _sweep(args)
    composed = _compose(args)
    if args.cfg:
        _print(composed, resolve=args.resolve)
        return 0
    _check_resume(composed[0].cfg)
    return _train(composed[0])


def _compose(args: argparse.Namespace) -> list[Composed]:
    """Return the configuration of every run; of a search, whose runs nobody knows yet, one of them."""
    from fiducial.config import compose, compose_all
    from fiducial.config.overrides import jobs

    if not args.multirun:
        return [compose(args.overrides, args.config_dir)]
    from fiducial.sweeps.search.grammar import first_values

    groups = Groups.find(args.config_dir)
    first = compose(first_values(args.overrides, groups), args.config_dir)
    if "_target_" in first.sweep.search:
        return [first]
    return compose_all(jobs(args.overrides, groups), args.config_dir)


def _sweep(args: argparse.Namespace) -> int:
    """Run every combination of the values given, or what a search proposes, each in a process of its own."""
    from fiducial.sweeps.plan import Plan
    from fiducial.sweeps.search.sweeper import find

    search = find(args.overrides, args.config_dir)
    if search is not None:  # one that is done is empty
        return _search(search, args)
    if not args.plan:
        from fiducial.sweeps.head_start import head_start

        head_start(args.overrides, args.config_dir)
    plan = Plan.of(args.overrides, args.config_dir)
    for job in plan.jobs:
        _check_resume(job.composed.cfg)
    if args.plan:
        _estimate(plan).show()
        return 0
    if args.max_hours is not None and not args.yes:
        _ask_above(args.max_hours, plan)
    from fiducial.sweeps.sweep import sweep

    sweep(plan)
    return 0


def _search(search: Search, args: argparse.Namespace) -> int:
    from fiducial.sweeps.sweep import sweep

    if args.plan or args.max_hours is not None:
        raise InputError("--plan and --max-hours are for sweeps whose runs are known beforehand; not with search=…")
    _check_resume(search.config)
    try:
        sweep(search)
    finally:
        search.close()
    return 0


def _estimate(plan: Plan) -> Estimate:
    from fiducial.sweeps.estimate import Estimate
    from fiducial.sweeps.sweep import launcher_of

    return Estimate.of(plan, launcher_of(plan))


def _ask_above(hours: float, plan: Plan) -> None:
    """Ask before a plan that takes longer than so many hours.

    Raises:
        InputError: the answer is no, or there is nobody to ask.
    """
    estimate = _estimate(plan)
    if estimate.seconds <= hours * 3600:
        return
    estimate.show()
    if not sys.stdin.isatty():
        raise InputError(f"the plan takes longer than --max-hours {hours:g}; add --yes to run it all the same")
    if input("run it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise InputError("nothing was run")


def _train(composed: Composed) -> int:
    from fiducial.runs import folder

    outputs, identity = Path(composed.cfg.outputs), composed.identity()
    if composed.cfg.resume == "auto" and (out := folder.latest(outputs, identity)):
        return _resume(out, composed)
    if ranks.rank() > 0:
        return _join(folder.of_job(outputs / "runs" / composed.cfg.name))
    folder.check_writable(outputs)
    train = _import_training(composed.cfg)
    out = folder.create(composed, identity)
    train(folder.config(out), out)
    return 0


def _resume(out: Path, composed: Composed | None = None) -> int:
    """Go on with the run in a folder; `composed` is what asks for it by the same settings."""
    from fiducial.runs import folder

    if folder.is_settled(out):
        print(f"{out} is finished; nothing to do. `fiducial evaluate {quote(str(out))}` shows its scores")
        return 0
    if ranks.rank() > 0:
        return _join(out)
    cfg = folder.config(out) if composed is None else folder.renew(out, composed)
    folder.check_tables(folder.record(out).tables, cfg, str(out))
    _import_training(cfg)(cfg, out, resume=folder.has_begun(out))
    return 0


def _import_training(cfg: DictConfig) -> Callable[..., Any]:
    """Return `train`: this process imports torch, and the one that will deliver the run MLflow, each on a core."""
    from fiducial.config.construction import component
    from fiducial.tracking import prepare_delivery

    prepare_delivery(component(cfg.tracking))
    with spared():
        from fiducial.runs.train import train
    return train


def _join(out: Path) -> int:
    from fiducial.runs.peers import join

    join(out)
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


def _check_resume(cfg: DictConfig) -> None:
    if cfg.resume not in (None, "auto"):
        raise InputError(
            f"resume={cfg.resume} goes on with one run as it is, and stands alone on the command line; "
            "each run of a sweep goes on with resume=auto"
        )


def _print(composed: Sequence[Composed], *, resolve: bool) -> None:
    from omegaconf import OmegaConf

    print("---\n".join(OmegaConf.to_yaml(job.cfg, resolve=resolve) for job in composed), end="")
