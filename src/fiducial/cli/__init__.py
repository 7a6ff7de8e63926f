"""One command, `fiducial`, with verbs. Nothing heavy is imported before a verb runs."""

from fiducial.cli.command import main

__all__ = ["main"]
