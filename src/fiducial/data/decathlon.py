"""The Medical Segmentation Decathlon: ten tasks (Antonelli et al., Nature Communications 13:4128, 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fiducial.data.archive import unpack
from fiducial.data.download import fetch
from fiducial.data.masked import Entry
from fiducial.data.source import Spec
from fiducial.data.volume_files import VolumeFiles, read_description
from fiducial.errors import InputError, nearest

URL = "https://msd-for-monai.s3-us-west-2.amazonaws.com/{}.tar"


@dataclass(frozen=True)
class Facts:
    """What is known of a task without reading it.

    Attributes:
        md5: of its archive.
        channels: names of the modalities.
        classes: names, the background first.
        size: the usual size of a case, in voxels.
    """

    md5: str
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    size: tuple[int, int, int]


def _facts(md5: str, channels: str, classes: str, *size: int) -> Facts:
    depth, height, width = size
    names = ("background", *(name.strip() for name in classes.split(",")))
    return Facts(md5, tuple(name.strip() for name in channels.split(",")), names, (depth, height, width))


TASKS = {
    "Task01_BrainTumour": _facts(
        "240a19d752f0d9e9101544901065d872",
        "FLAIR, T1w, T1gd, T2w",
        "edema, non-enhancing tumour, enhancing tumour",
        *(240, 240, 155),
    ),
    "Task02_Heart": _facts("06ee59366e1e5124267b774dbd654057", "MRI", "left atrium", 320, 320, 115),
    "Task03_Liver": _facts("a90ec6c4aa7f6a3d087205e23d4e6397", "CT", "liver, cancer", 512, 512, 432),
    "Task04_Hippocampus": _facts("9d24dba78a72977dbd1d2e110310f31b", "MRI", "anterior, posterior", 36, 50, 35),
    "Task05_Prostate": _facts("35138f08b1efaef89d7424d2bcc928db", "T2, ADC", "peripheral, transition", 320, 320, 20),
    "Task06_Lung": _facts("8afd997733c7fc0432f71255ba4e52dc", "CT", "cancer", 512, 512, 252),
    "Task07_Pancreas": _facts("4f7080cfca169fa8066d17ce6eb061e4", "CT", "pancreas, cancer", 512, 512, 93),
    "Task08_HepaticVessel": _facts("641d79e80ec66453921d997fbf12a29c", "CT", "vessel, tumour", 512, 512, 49),
    "Task09_Spleen": _facts("410d4a301da4e5b2f6f86ec3ddba524e", "CT", "spleen", 512, 512, 90),
    "Task10_Colon": _facts("bad7a188931dc2f6acf72b08eb6202d0", "CT", "colon cancer", 512, 512, 95),
}


class Decathlon(VolumeFiles):
    """Read a task from `<folder>/decathlon/<task>` or `<folder>/<task>`, downloaded if it is missing.

    The labelled cases are split; those of the challenge's hidden test have no masks. Every case is a subject: the set
    names none.

    Args:
        task: one of the ten, such as Task04_Hippocampus.
        folder: the data folder.
        download: fetch the archive if the task is missing.
        **options: see `VolumeFiles`: fractions, seed, allow_unlabelled, modality, cache.

    Raises:
        InputError: there is no such task, or a file of it is missing.
    """

    def __init__(self, *, task: str, folder: str | Path, download: bool = True, **options: Any) -> None:
        super().__init__(**options)
        if task not in TASKS:
            raise InputError(f"data.source.task must be one of {', '.join(TASKS)}; got {task}{nearest(task, TASKS)}")
        self.task, self.folder, self.download = task, Path(folder), download

    @cached_property
    def root(self) -> Path:
        """The task's folder, downloaded and unpacked if need be."""
        places = (self.folder / "decathlon" / self.task, self.folder / self.task)
        found = next((place for place in places if (place / "dataset.json").is_file()), None)
        if found is not None:
            return found
        archive, url = places[0].with_name(f"{self.task}.tar"), URL.format(self.task)
        if not archive.is_file():
            if not self.download:
                raise InputError(f"{self.task} is neither in {places[0]} nor in {places[1]}; it is offered at {url}")
            fetch(url, archive, md5=TASKS[self.task].md5)
        unpack(archive, places[0])
        return places[0]

    @property
    def part(self) -> str:
        """The task."""
        return self.task

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the modalities."""
        return TASKS[self.task].channels

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""
        return TASKS[self.task].classes

    @cached_property
    def spec(self) -> Spec:
        """What cases are like: known, nothing is read."""
        return Spec(len(self.channels), 3, TASKS[self.task].size, "mask", self.classes, modality=self.modality)

    def listed(self) -> list[Entry]:
        """Return the files of every labelled case."""
        file = self.root / "dataset.json"
        description, entries = read_description(file), []
        for key, known in (("modality", self.channels), ("labels", self.classes)):
            if len(description.get(key, ())) != len(known):
                raise InputError(f"{file}: expected {len(known)} {key} ({', '.join(known)}), as {self.task} has")
        for item in description["training"]:
            image, mask = self.root / item["image"], self.root / item["label"]
            case = image.name.removesuffix(".gz").removesuffix(".nii")
            entries.append(Entry(case, case, "", (image,), mask))
        return entries
