"""Look at a data set before training on it: counts, sizes, intensities, corrupt files, duplicates, leaks, images.

It reads every image, goes on past those that cannot be read, and looks for exact and near duplicates. What it reports
in red stops a run, unless it is allowed by name.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fiducial.errors import InputError

EXAMPLES = """examples:
  fiducial inspect data=breastmnist
  fiducial inspect data=image_folder data.source.root=/data/moles --html moles.html
  fiducial inspect data=table data.source.path=cases.csv data.leave_out=oslo
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("overrides", nargs="*", help="data=… and its options, as for `fiducial train`")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write one page with everything, and images")
    parser.add_argument("--no-near", action="store_true", help="do not look for near duplicates (slow for many cases)")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of config groups of your own")


def run(args: argparse.Namespace) -> int:
    """Inspect and print; write what is asked for."""
    if args.html is not None and not args.html.expanduser().parent.is_dir():
        raise InputError(f"{args.html}: there is no folder {args.html.parent}")
    from fiducial.config import compose

    composed = compose(args.overrides, args.config_dir, look_only=True)
    from fiducial.reports.inspection.page import page
    from fiducial.reports.inspection.terminal import show
    from fiducial.runs.inspect import inspect

    inspection = inspect(composed.cfg, composed.choices["data"], near=not args.no_near, pictures=args.html is not None)
    show(inspection)
    if args.html is not None:
        args.html.expanduser().write_text(page(inspection), encoding="utf-8")
        print(f"wrote {args.html}")
    return 0
