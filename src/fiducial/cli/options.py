"""List the groups and their options, one group's options, or everything that can be set of one option."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fiducial.config import GROUPS, Groups
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    from fiducial.config.reference import Setting

EXAMPLES = """examples:
  fiducial options
  fiducial options model
  fiducial options model plain_cnn
  fiducial options --markdown > reference.md    all of it, as a page"""

PREAMBLE = """# Reference: groups, options and what can be set of them

Written by `fiducial options --markdown` from `conf/` and the classes named there. What is taken from the data or the
task need not be given. Defaults are the option's, else those of its class; a class is described once, for the first
option that names it. What the settings of other libraries mean: `fiducial options GROUP OPTION`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("group", nargs="?", help="only this one")
    parser.add_argument("option", nargs="?", help="of the group: its settings, their defaults and meaning")
    parser.add_argument("--markdown", action="store_true", help="everything, as a page in Markdown")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of config groups of your own")


def run(args: argparse.Namespace) -> int:
    """Print the options."""
    groups = Groups.find(args.config_dir)
    if args.group and args.group not in GROUPS:
        raise InputError(f"there is no group {args.group!r}{nearest(args.group, GROUPS)} (groups: {', '.join(GROUPS)})")
    if args.markdown and args.option:
        raise InputError(f"--markdown is of a whole group, or of all: leave {args.option} out")
    if args.markdown:
        print("\n".join(_page(groups, [args.group] if args.group else GROUPS)))
    elif args.option:
        _describe(groups, args.group, args.option)
    else:
        _list(groups, [args.group] if args.group else GROUPS)
    return 0


def groups_and_options(chosen: Sequence[str] = GROUPS) -> str:
    """Return what the help of a verb says of the groups that it takes."""
    groups = Groups.find()
    lines = [f"  {group:<12}{', '.join(groups.options(group))}" for group in chosen]
    return "groups and options (`fiducial options GROUP` says what each is):\n" + "\n".join(lines)


def _list(groups: Groups, chosen: Sequence[str]) -> None:
    for group in chosen:
        print(f"{group}=")
        options = groups.options(group)
        width = max(map(len, options)) + 2
        for option in options:
            print(f"  {option:<{width}}{groups.title(group, option)}")


def _describe(groups: Groups, group: str, option: str) -> None:
    """Print what can be set of one option."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fiducial.config.reference import parts

    known = groups.options(group)
    if option not in known:
        raise InputError(f"{group}={option}: there is no such option{nearest(option, known)} ({', '.join(known)})")
    console = Console(highlight=False)
    console.print(Text(f"{group}={option}  {groups.title(group, option)}"))
    found = list(parts(groups, group, option))
    for part in found:
        table = Table(box=SIMPLE_HEAD, title=part.target, title_justify="left")
        table.add_column("key", no_wrap=True)
        table.add_column("default", overflow="fold")
        table.add_column("meaning")
        for one in part.settings:
            meaning = f"{one.meaning} ({one.kind})" if one.kind else one.meaning
            table.add_row(Text(one.key), Text(one.value or "must be given"), Text(meaning.strip()))
        console.print(table)
    if not found:
        console.print(Text(groups.path(group, option).read_text(encoding="utf-8").rstrip()))


def _page(groups: Groups, chosen: Sequence[str]) -> Iterator[str]:
    from fiducial.config.reference import parts

    yield PREAMBLE
    for group in chosen:
        yield f"\n## {group}\n"
        described: set[str] = set()
        for option in groups.options(group):
            yield f"- `{group}={option}`: {groups.title(group, option)}"
        for option in groups.options(group):
            for part in parts(groups, group, option):
                if part.target not in described:
                    described.add(part.target)
                    yield f"\n### {part.target}\n\nas in `{group}={option}`\n\n| key | kind | default | meaning |"
                    yield "|---|---|---|---|"
                    yield from (_row(one, part.target) for one in part.settings)


def _row(setting: Setting, target: str) -> str:
    meaning = setting.meaning if target.startswith("fiducial.") else ""
    value = f"`{setting.value}`" if setting.value else "must be given"
    cells = (f"`{setting.key}`", setting.kind, value, meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
