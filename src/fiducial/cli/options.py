"""List the groups and their options, or one group's options."""

from __future__ import annotations

import argparse

from fiducial.config import GROUPS, Groups
from fiducial.errors import InputError, nearest

EXAMPLES = "examples:\n  fiducial options\n  fiducial options model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("group", nargs="?", help="only this one")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of config groups of your own")


def run(args: argparse.Namespace) -> int:
    """Print the options."""
    groups = Groups.find(args.config_dir)
    if args.group and args.group not in GROUPS:
        raise InputError(f"there is no group {args.group!r}{nearest(args.group, GROUPS)} (groups: {', '.join(GROUPS)})")
    for group in [args.group] if args.group else GROUPS:
        print(f"{group}=")
        for option in groups.options(group):
            print(f"  {option:<22}{groups.title(group, option)}")
    return 0
