"""Parse the command line, run the verb, and say in one message what went wrong."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

import fiducial
from fiducial.errors import InputError, nearest

VERBS = {
    "train": "fit, test and track a run; many with -m",
    "evaluate": "score a run's checkpoint again, also on other data",
    "predict": "apply a run's network to image files",
    "inspect": "look at a data set: counts, sizes, corrupt files, duplicates, leaks between splits",
    "compare": "put settings beside each other on the same cases: intervals, paired tests, verdicts",
    "import-dicom": "turn DICOM studies into cases, without the people in them",
    "ui": "look at runs in the browser",
    "doctor": "check the installation, the tracking database and interrupted runs",
    "options": "list the groups and their options",
    "completion": "print a script that completes commands in your shell",
}
EXIT_ERROR, EXIT_INTERRUPTED = 1, 130


def main(argv: Sequence[str] | None = None) -> None:
    """Run `fiducial` with the given arguments.

    Exits with 0, 1 (an error), 2 (a flag that there is not), 130 (Ctrl-C) or 143 (SIGTERM).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    atexit.register(gc.freeze)  # or Python's end looks for garbage among all modules, for a second or two
    sys.path.append(os.getcwd())  # a user's own classes, named by _target_; last, so that none is hidden by them
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of another alphabet lacks "…"
    trace = "--trace" in arguments or os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        code = _answer(arguments)
        sys.stdout.flush()
    except InputError as error:
        if trace:
            raise
        sys.exit(_complain(str(error)))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # `fiducial … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)
    except Exception as error:
        if trace:
            raise
        first = (str(error).splitlines() or [""])[0]
        sys.exit(_complain(f"{type(error).__name__}: {first}\n  --trace shows where"))
    sys.exit(code)


def _answer(arguments: list[str]) -> int:
    """Say what there is, or run a verb; return the exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if arguments[0] == "--version":
        print(f"fiducial {fiducial.__version__}")
        return 0
    return run(arguments[0], arguments[1:])


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run one verb; return its exit code."""
    if verb not in VERBS:
        raise InputError(f"there is no verb {verb!r}{nearest(verb, VERBS)} (verbs: {', '.join(VERBS)})")
    module = import_module(f"fiducial.cli.{verb.replace('-', '_')}")
    parser = argparse.ArgumentParser(
        prog=f"fiducial {verb}",
        description=module.__doc__,
        epilog=getattr(module, "EXAMPLES", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument("--trace", action="store_true", help="show the stack trace of an error")
    code: int = module.run(parser.parse_intermixed_args(arguments))
    return code


def overview() -> str:
    """Return what `fiducial --help` prints."""
    verbs = "\n".join(f"  {name:<14}{text}" for name, text in VERBS.items())
    return (
        "usage: fiducial VERB …\n\n"
        "One composed configuration into one tracked, reproducible medical-imaging experiment.\n\n"
        f"verbs:\n{verbs}\n\n"
        "start with:\n"
        "  fiducial train                                    the embedded default, under a minute\n"
        "  fiducial train data=breastmnist model=resnet18    pick an option of each group\n"
        "  fiducial train --help                             all groups and options\n"
        "  fiducial ui                                       what came out"
    )


def _complain(message: str) -> int:
    print(f"fiducial: {message}", file=sys.stderr)
    return EXIT_ERROR
