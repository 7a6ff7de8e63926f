"""A search in a process of its own, whose runs are computed at once: `python searcher.py SECONDS OVERRIDE…`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from fiducial.sweeps.job import Ending
from fiducial.sweeps.search.sweeper import find


def main(seconds: float, overrides: list[str]) -> None:
    """Run the search that the overrides ask for; each run takes some seconds and leaves a line in `ran.txt`."""
    search = find(overrides)
    assert search is not None
    outputs = search.question.outputs
    print("ready", flush=True)
    for spec in search.specs():
        given = dict(line.split("=", 1) for line in spec.overrides)
        out = outputs / "runs" / "x" / str(spec.number)
        out.mkdir(parents=True, exist_ok=True)
        with (outputs / "ran.txt").open("a") as file:
            file.write(f"{spec.number} {given['optimizer.lr']}\n")
        time.sleep(seconds)
        objective = {"name": "val/loss", "value": float(given["optimizer.lr"])}
        (Path(out) / "scores.json").write_text(json.dumps({"epoch": 0, "objective": objective}))
        search.ended(Ending(spec.number, "done", str(out)))
        print(spec.number, flush=True)
    search.close()


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
