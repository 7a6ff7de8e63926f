"""Apply a run's network to image files: a table of predicted classes, or masks or boxes and a table of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fiducial.errors import InputError
from fiducial.garbage import spared
from fiducial.wording import counted

HARDWARE = ("hardware=", "hardware.")

EXAMPLES = """examples:
  fiducial predict 20260101-120000-abc123 new_images/
  fiducial predict 20260101-120000-abc123 a.png b.dcm --to predictions.csv
  fiducial predict 20260101-120000-abc123 new_images/ hardware=cpu        of a run that was trained on a GPU
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("run", help="folder, last part of the folder, or id of a run")
    parser.add_argument(
        "images", nargs="+", help="image files, or folders of them; and other hardware, as hardware=cpu"
    )
    to = "table to write (default: predictions.csv); masks and boxes go into a folder beside it"
    parser.add_argument("--to", default="predictions.csv", metavar="FILE", help=to)
    parser.add_argument("--overwrite", action="store_true", help="replace a table that is there already")
    parser.add_argument("--checkpoint", choices=["best", "last"], help="default: the one that the run selected")
    parser.add_argument(
        "--explain", action="store_true", help="draw where a classifier looked, into the folder beside it"
    )
    parser.add_argument(
        "--layer", metavar="NAME", help="of the network, that is mapped (default: the last with an extent)"
    )
    parser.add_argument("--outputs", default="outputs", metavar="DIR", help="folder of runs (default: outputs)")


def run(args: argparse.Namespace) -> int:
    """Predict, write the table, and say where it is; 1 where an image could not be read."""
    if args.layer and not args.explain:
        raise InputError("--layer says what --explain maps: give both")
    if Path(args.to).exists() and not args.overwrite:
        raise InputError(f"{args.to} is there already: name another table by --to, or replace it by --overwrite")
    with spared():
        from fiducial.runs import folder
        from fiducial.runs.predict import predict

    out = folder.find(args.run, Path(args.outputs))
    cfg = folder.config(out)
    if hardware := [word for word in args.images if word.startswith(HARDWARE)]:
        cfg.hardware = folder.changed(out, hardware).hardware
    names, to = [Path(word) for word in args.images if not word.startswith(HARDWARE)], Path(args.to)
    if not names:
        raise InputError(f"expected image files, or folders of them, beside {' '.join(hardware)}")
    table = predict(
        cfg,
        out,
        names,
        checkpoint=args.checkpoint or cfg.select,
        masks=to.with_suffix(""),
        explain=args.explain,
        layer=args.layer,
    )
    table.to_csv(args.to, index=False)
    errors = [error for error in table.get("error", ()) if error]
    for error in errors:
        print(f"not predicted: {error}", file=sys.stderr)
    print(f"{counted(len(table) - len(errors), 'prediction')} written to {args.to}")
    return 1 if errors else 0
