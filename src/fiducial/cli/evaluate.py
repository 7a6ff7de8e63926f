"""Score a run's checkpoint again: another split, another checkpoint, or other data."""

from __future__ import annotations

import argparse
from pathlib import Path

from fiducial.cli.options import groups_and_options
from fiducial.config import GROUPS, SWEEP_GROUPS
from fiducial.errors import InputError
from fiducial.garbage import spared

EXAMPLES = """examples:
  fiducial evaluate outputs/runs/breastmnist-resnet18/20260101-120000-abc123
  fiducial evaluate 20260101-120000-abc123 --split val --checkpoint last
  fiducial evaluate 20260101-120000-abc123 --modalities
  fiducial evaluate 20260101-120000-abc123 data=table data.source.path=other_hospital.csv --split all
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("run", help="folder, last part of the folder, or id of a run")
    changes = "changes of the run's configuration, such as data=…"
    parser.add_argument("overrides", nargs="*", default=[], help=changes)  # without a default argparse wants some
    split = "cases to score (default: test); all: every case of data that the run did not learn from"
    parser.add_argument("--split", choices=["train", "val", "test", "all"], default="test", help=split)
    every = "score every choice of channels, the others being taken for missing: a table, and its picture"
    parser.add_argument("--modalities", action="store_true", help=every)
    parser.add_argument("--checkpoint", choices=["best", "last"], help="default: the one that the run selected")
    parser.add_argument("--explain", action="store_true", help="map where a classifier looks; score maps against boxes")
    parser.add_argument(
        "--layer", metavar="NAME", help="of the network, that is mapped (default: the last with an extent)"
    )
    parser.add_argument("--outputs", default="outputs", metavar="DIR", help="folder of runs (default: outputs)")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of config groups of your own")
    parser.epilog = f"{EXAMPLES}\n{groups_and_options([group for group in GROUPS if group not in SWEEP_GROUPS])}"


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the scores."""
    if args.layer and not args.explain:
        raise InputError("--layer says what --explain maps: give both")
    with spared():
        from fiducial.runs import folder
        from fiducial.runs.evaluate import evaluate

    out = folder.find(args.run, Path(args.outputs))
    cfg = folder.changed(out, args.overrides, args.config_dir)
    how = {"split": args.split, "checkpoint": args.checkpoint or cfg.select}
    if args.modalities and args.explain:
        raise InputError("--modalities and --explain are two evaluations: give one of them")
    if args.modalities:
        from fiducial.runs.modalities import evaluate_modalities

        evaluate_modalities(cfg, out, **how)
    else:
        evaluate(cfg, out, **how, explain=args.explain, layer=args.layer)
    return 0
