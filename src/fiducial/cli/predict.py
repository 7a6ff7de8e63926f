"""Apply a run's network to image files: a table of predicted classes, or masks or boxes and a table of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fiducial.cli.options import groups_and_options
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
    parser.epilog = f"{EXAMPLES}\n{groups_and_options(['hardware'])}"


def run(args: argparse.Namespace) -> int:
    """Predict, write the table, and say where it is; 1 where an image could not be read."""
    if args.layer and not args.explain:
        raise InputError("--layer says what --explain maps: give both")
    to = Path(args.to).expanduser()
    _check_place(to, overwrite=args.overwrite)
    from fiducial.runs import folder

    out = folder.find(args.run, Path(args.outputs))
    cfg = folder.config(out)
    if hardware := [word for word in args.images if word.startswith(HARDWARE)]:
        cfg.hardware = folder.hardware(out, hardware)
    names = [Path(word) for word in args.images if not word.startswith(HARDWARE)]
    if not names:
        raise InputError(f"expected image files, or folders of them, beside {' '.join(hardware)}")
    pictures = to.with_suffix("")
    if args.explain or cfg.data.spec.target in ("mask", "boxes"):
        _check_pictures(pictures, names, overwrite=args.overwrite)
    with spared():
        from fiducial.runs.predict import predict

    table = predict(
        cfg,
        out,
        names,
        checkpoint=args.checkpoint or cfg.select,
        masks=pictures,
        explain=args.explain,
        layer=args.layer,
    )
    table.to_csv(to, index=False)
    errors = [error for error in table.get("error", ()) if error]
    for error in errors:
        print(f"not predicted: {error}", file=sys.stderr)
    drawn = f", pictures to {pictures}" if pictures.is_dir() else ""
    print(f"{counted(len(table) - len(errors), 'prediction')} written to {args.to}{drawn}")
    return 1 if errors else 0


def _check_place(to: Path, *, overwrite: bool) -> None:
    """Refuse, before anything is read, a place where the table could not be written."""
    if not to.suffix:
        raise InputError(f"--to: expected a file with an ending, such as {to}.csv: {to} is for the pictures beside it")
    if not to.parent.is_dir():
        raise InputError(f"--to {to}: there is no folder {to.parent}")
    if to.is_dir():
        raise InputError(f"--to {to}: expected a file, got a folder")
    _check_free(to, overwrite=overwrite)


def _check_pictures(place: Path, images: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse a folder for pictures that is a file, has some already, or has the images that are to be read."""
    if place.is_file():
        raise InputError(f"--to: {place} would be the folder for the pictures beside the table, and is a file")
    if any(place.resolve() in (image.resolve(), *image.resolve().parents) for image in images):
        raise InputError(f"--to: the pictures would go into {place}, among the images; name another table by --to")
    _check_free(place, overwrite=overwrite)


def _check_free(place: Path, *, overwrite: bool) -> None:
    """Refuse to write over what is there, unless that is asked for."""
    is_taken = any(place.iterdir()) if place.is_dir() else place.exists()
    if is_taken and not overwrite:
        raise InputError(f"{place} is there already: name another table by --to, or replace it by --overwrite")
