"""Apply a run's network to images and volumes: boxes as JSON, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from fiducial.data.boxes import Boxes, Frame
from fiducial.data.image_header import affine_of, image_size
from fiducial.data.images import placement
from fiducial.hardware import Hardware
from fiducial.metrics.boxes import CaseBoxes, each_case
from fiducial.reports.detections import CaseDetections, write_detections
from fiducial.reports.figures.style import save
from fiducial.runs import folder
from fiducial.runs.box_pictures import picture
from fiducial.runs.build import build_network
from fiducial.runs.reader import Reader, network_input
from fiducial.tasks.decoding import Decoder


def predict_boxes(
    cfg: DictConfig,
    out: Path,
    files: Sequence[Path],
    place: Path,
    *,
    reader: Reader,
    checkpoint: Path,
    hardware: Hardware,
) -> pd.DataFrame:
    """Write `detections.json` and a picture of each file into `place`; return a table of files and their boxes.

    Images are prepared as in training; boxes are called from the score that the run's test used.

    Args:
        cfg: the run's configuration.
        out: its folder.
        files: images.
        place: folder that the boxes and pictures go into.
        reader: of the images; it keeps those apart that cannot be read.
        checkpoint: of the network.
        hardware: that it runs on.
    """
    network = build_network(cfg, hardware, checkpoint)
    threshold, classes = _threshold(cfg, out), list(cfg.data.spec.classes)
    place.mkdir(parents=True, exist_ok=True)
    cases, lines = [], []
    for number, (file, (image, frame)) in enumerate(reader.each(files, lambda file: _read(file, reader))):
        case = _found(cfg, network, image, hardware)
        size = image_size(file)
        own = Boxes(frame.own(np.asarray(case.found, np.float32), size), case.label)
        cases.append(CaseDetections(str(file), size, frame, own, case.score))
        called = case.above(threshold)
        drawn = place / f"{number:04d}_{file.name.split('.')[0]}.png"
        save(picture([(file.name, image, called, frame)], classes), drawn)
        highest = float(case.score.max(initial=0.0))
        lines.append({"file": str(file), "boxes": len(called.score), "highest score": highest, "picture": str(drawn)})
    dims = cfg.data.spec.spatial_dims
    write_detections(place / "detections.json", cases, classes=classes, threshold=threshold, dims=dims)
    return pd.DataFrame(lines)


def _threshold(cfg: DictConfig, out: Path) -> float:
    """Return the score from which the run's test called boxes; without a test the one that was asked for, or 0.5."""
    if folder.is_finished(out):
        return float(folder.scores(out)["threshold"])
    given = cfg.task.get("threshold", "choose")
    return 0.5 if given == "choose" else float(given)


def _read(file: Path, reader: Reader) -> tuple[NDArray[Any], Frame]:
    image = reader(file)
    return image, Frame(*placement(image_size(file), reader.size, reader.policy), affine_of(file))


@torch.inference_mode()
def _found(cfg: DictConfig, network: torch.nn.Module, image: NDArray[Any], hardware: Hardware) -> CaseBoxes:
    output = network(network_input(cfg, image[None], hardware.device_type))
    given = {field.name: cfg.task[field.name] for field in fields(Decoder) if field.name in cfg.task}
    told = Decoder(**given)(output, image.shape[1:])
    corners, score, label = (told[name].cpu().numpy() for name in ("found", "score", "found_label"))
    nothing = np.zeros((1, 0, corners.shape[2])), np.zeros((1, 0), np.int64)
    (case,) = each_case(corners.astype(np.float64), score.astype(np.float64), label, *nothing)
    return case
