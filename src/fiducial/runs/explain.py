"""What in an image a classifier's answer comes from: maps, their pictures, and how they agree with boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from fiducial.config.construction import component
from fiducial.data.boxed import BOXES, BoxedSource
from fiducial.data.module import DataModule
from fiducial.data.source import Source
from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.metrics.localisation import localisation_scores
from fiducial.reports.case_scores import CaseScores, mean_intervals, write_case_scores
from fiducial.reports.figures.activation import ActivationView, activation_maps
from fiducial.reports.figures.style import middle_cut, save, with_bounds
from fiducial.runs import folder
from fiducial.runs.build import build_network
from fiducial.runs.reader import network_input
from fiducial.tasks.activation import Activation
from fiducial.tasks.classification import class_probabilities
from fiducial.types import Tensor

SHOWN = 6


class Explainer:
    """A run's classifier with a map for each answer.

    Args:
        cfg: the run's configuration.
        checkpoint: of its network.
        hardware: that it runs on.
        layer: whose activations are mapped; None for the last one that keeps an extent.

    Raises:
        InputError: the run learned no labels of single images.
    """

    def __init__(self, cfg: DictConfig, checkpoint: Path, hardware: Hardware, layer: str | None = None) -> None:
        check_explainable(cfg)
        spec = cfg.data.spec
        self.cfg, self.hardware = cfg, hardware
        self.network = build_network(cfg, hardware, checkpoint)
        self.head, self.classes = cfg.loss.contract.head, list(spec.classes)
        image = torch.zeros(1, spec.channels, *spec.size, device=hardware.device_type)
        self.activation = Activation(self.network, image, layer)

    def __call__(self, image: NDArray[Any], called: int | None = None) -> tuple[int, float, NDArray[np.float32]]:
        """Return a class, its probability, and how much each pixel speaks for it.

        Args:
            image: as a source reads it, `(channels, *spatial)`.
            called: number of the class; None for the most probable one.
        """
        batch = network_input(self.cfg, image[None], self.hardware.device_type)
        with torch.no_grad():
            output = self.network(batch)
        logits: Tensor = output[0] if isinstance(output, tuple) else output
        probabilities = class_probabilities(logits, self.head, self.cfg.data.spec.target)[0]
        number = int(probabilities.argmax()) if called is None else called
        single = logits.shape[1] == 1  # its one output speaks for the second of two classes
        values = self.activation(batch, 0 if single else number, against=single and number == 0)
        return number, float(probabilities[number]), values.cpu().numpy()


def check_explainable(cfg: DictConfig) -> None:
    """Refuse a run whose answers cannot be mapped.

    Raises:
        InputError: it learned no classes of single images.
    """
    spec = cfg.data.spec
    if spec.target in ("mask", BOXES) or spec.sequence:
        kind = "sequences" if spec.sequence else {"mask": "masks"}.get(spec.target, spec.target)
        raise InputError(f"--explain is for classifiers of single images; this run learned {kind}")
    if spec.get("columns") and cfg.model.get("num_columns") is not None:
        raise InputError("--explain is for networks that see an image alone; this one also needs columns of the table")
    if cfg.loss.contract.head == "ordinal":
        raise InputError("--explain is for classes; the levels of an ordinal head have no output of their own")


def explain_images(
    cfg: DictConfig,
    images: Iterable[tuple[str, NDArray[Any]]],
    place: Path,
    *,
    checkpoint: Path,
    layer: str | None,
) -> list[str]:
    """Draw for each image what speaks for the class that the run calls it; return the pictures.

    Args:
        cfg: the run's configuration.
        images: name of each, and its pixels as a source reads them.
        place: folder that the pictures go into.
        checkpoint: of the network.
        layer: see `Explainer`.
    """
    explainer = Explainer(cfg, checkpoint, component(cfg.hardware).alone(), layer)
    place.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, (name, image) in enumerate(images):
        called, probability, values = explainer(image)
        title = f"{middle_cut(Path(name).name)}\n{explainer.classes[called]} {probability:.2f}"
        picture = place / f"{number:04d}_{Path(name).name.split('.')[0]}.png"
        save(activation_maps([view(title, image, values)]), picture)
        pictures.append(str(picture))
    return pictures


def explain_split(
    cfg: DictConfig, data: DataModule, checkpoint: Path, place: Path, *, split: str, layer: str | None
) -> None:
    """Map the cases of a split; where they have boxes, say how well the maps agree with these.

    Writes `figures/activation.png` into `place`, and for cases with boxes `localisation.csv` and `localisation.json`.

    Args:
        cfg: the run's configuration.
        data: its cases.
        checkpoint: of its network.
        place: folder of the evaluation.
        split: whose cases are mapped.
        layer: see `Explainer`.
    """
    source, rows = data.source, data.rows(split).tolist()
    if isinstance(source, BoxedSource):
        rows = [row for row in rows if len(source.truth(row))]
    if not rows:
        print(f"no case of the {split} split has a box: there is nothing to map")
        return
    explainer = Explainer(cfg, checkpoint, component(cfg.hardware).alone(), layer)
    views: list[ActivationView] = []
    scores: list[dict[str, float]] = []
    scored: list[int] = []
    for row in rows if isinstance(source, BoxedSource) else rows[:SHOWN]:
        image, truth = source.read(row), _boxes(source, row)
        called, probability, values = explainer(image, 1 if len(truth) else None)
        if len(truth):
            scores.append(localisation_scores(values, truth))
            scored.append(row)
        if len(views) < SHOWN:
            title = f"{middle_cut(str(data.cases.case[row]))}\n{explainer.classes[called]} {probability:.2f}"
            views.append(view(title, image, values, truth))
    save(activation_maps(views), place / folder.FIGURES / "activation.png")
    print(f"maps of layer {explainer.activation.layer}: {place / folder.FIGURES / 'activation.png'}")
    if not scores:
        return
    index = np.array(scored)
    names = data.cases.case[index], data.cases.subject[index], data.cases.split[index]
    table = CaseScores(*names, {name: np.array([each[name] for each in scores]) for name in scores[0]})
    write_case_scores(place / "localisation.csv", table)
    intervals = mean_intervals(table, seed=cfg.seed)
    content = {"layer": explainer.activation.layer, "cases": len(table)}
    content |= {"scores": {name: asdict(interval) for name, interval in intervals.items()}}
    folder.write_json(place / "localisation.json", content)
    for name, interval in intervals.items():
        print(f"{name.replace('_', ' ')}: {with_bounds(interval)}")


def _boxes(source: Source, row: int) -> NDArray[np.float64]:
    dims = source.spec.spatial_dims
    corners = source.seen(row).corners if isinstance(source, BoxedSource) else np.zeros((0, 2 * dims))
    return np.asarray(corners, np.float64)


def view(
    title: str, image: NDArray[Any], values: NDArray[np.float32], truth: NDArray[np.float64] | None = None
) -> ActivationView:
    """Return an image with its map as it is drawn: of a volume the slice with the greatest value, and its boxes."""
    boxes = np.zeros((0, 2 * values.ndim)) if truth is None else truth
    if values.ndim == 3:
        place = int(np.unravel_index(int(values.argmax()), values.shape)[0])
        boxes = boxes[(boxes[:, 0] <= place) & (place < boxes[:, 3])][:, [1, 2, 4, 5]]
        image, values, title = image[:, place], values[place], f"{title}, slice {place}"
    picture = np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]
    return ActivationView(title, picture, values, np.asarray(boxes, np.float32))
