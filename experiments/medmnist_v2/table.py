"""Print the table of this study from the runs in an outputs folder.

    python experiments/medmnist_v2/table.py outputs

One row a data set, network and number of epochs: mean and standard deviation over seeds, the range that the
bootstrap intervals of the single runs span, and the published number (Yang et al. 2023, tables 3 and 4).
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

PUBLISHED = {  # (data, model): (AUC, ACC)
    ("breastmnist", "resnet18"): (0.901, 0.863),
    ("breastmnist", "resnet50"): (0.857, 0.812),
    ("pneumoniamnist", "resnet18"): (0.944, 0.854),
    ("pneumoniamnist", "resnet50"): (0.948, 0.854),
}


def finished(outputs: Path) -> dict[tuple[str, str, int], list[dict[str, Any]]]:
    """Return the scores of all finished runs by data set, network and epochs; one for each seed."""
    found: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for file in sorted(outputs.glob("runs/*/*/scores.json")):
        choices = json.loads((file.parent / "run.json").read_text())["choices"]
        config = yaml.safe_load((file.parent / "config.yaml").read_text())
        key = (choices["data"], choices["model"], config["epochs"])
        found[key].append(json.loads(file.read_text()) | {"seed": config["seed"]})
    return found


def cell(runs: list[dict[str, Any]], score: str) -> str:
    """Return mean, deviation over seeds, and the widest bounds of the runs' intervals."""
    values = [run["scores"][score]["value"] for run in runs]
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    low = min(run["scores"][score]["low"] for run in runs)
    high = max(run["scores"][score]["high"] for run in runs)
    return f"{statistics.mean(values):.3f}{spread} [{low:.3f}, {high:.3f}]"


def main() -> None:
    print("| data | network | epochs | seeds | AUC [95 %] | published | ACC [95 %] | published |")
    print("|---|---|---|---|---|---|---|---|")
    for (data, model, epochs), runs in sorted(finished(Path(sys.argv[1])).items()):
        auc, acc = PUBLISHED.get((data, model), ("–", "–"))
        seeds = ", ".join(str(seed) for seed in sorted(run["seed"] for run in runs))
        cells = (data, model, epochs, seeds, cell(runs, "auroc"), auc, cell(runs, "accuracy"), acc)
        print("| " + " | ".join(str(value) for value in cells) + " |")


if __name__ == "__main__":
    main()
