"""Score a run's checkpoint for every choice of modalities."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from omegaconf import DictConfig

from fiducial.checkpoints import selected
from fiducial.errors import InputError
from fiducial.reports.figures.modalities import modalities
from fiducial.reports.figures.style import save
from fiducial.reports.modality_scores import ModalityScores, show_modality_scores, write_modality_scores
from fiducial.runs import folder
from fiducial.runs.build import trainer_for
from fiducial.runs.evaluate import opened
from fiducial.runs.results import results_of

MOST = 6  # modalities: 63 choices
TABLE, PICTURE = "modalities.csv", "modalities.png"


def evaluate_modalities(cfg: DictConfig, out: Path, *, split: str, checkpoint: str) -> ModalityScores:
    """Predict one split with each choice of channels, the others being taken for missing; write and return the scores.

    The table and a picture go into a folder `evaluations/` of the run. Cases, resamples and, for masks, corrections
    are the same for every choice. What stands for a missing channel is as the run learned it.

    Raises:
        InputError: there is one channel only, or more than can be tested.
    """
    check_count(int(cfg.data.spec.channels))
    data, task, hardware = opened(cfg, out, split)
    count, place = data.spec.channels, folder.of_evaluation(out)
    weights = selected(out / folder.CHECKPOINTS, checkpoint)
    choices, found = list(subsets(count)), []
    for number, present in enumerate(choices, start=1):
        data.gaps.missing = [channel for channel in range(count) if channel not in present]
        with tempfile.TemporaryDirectory(dir=place) as aside:  # masks of every choice would fill the disk
            trainer = trainer_for(cfg, Path(aside), hardware, logger=None, callbacks=[])
            trainer.test(task, datamodule=data, ckpt_path=weights, verbose=False, weights_only=True)
            found.append(results_of(task, data, Path(aside), seed=cfg.seed).intervals)
        print(f"{number} of {len(choices)} choices of modalities scored", flush=True)
    flags = [tuple(channel in present for channel in range(count)) for present in choices]
    table = ModalityScores(data.source.channel_names, flags, found)
    write_modality_scores(place / TABLE, table)
    score = table.scores[0]
    save(modalities(table.names, table.present, [each[score] for each in found], score), place / PICTURE)
    show_modality_scores(table)
    print(f"the table and its picture are in {place}")
    return table


def check_count(channels: int) -> None:
    """Refuse numbers of channels of which there is nothing to choose, or too much.

    Raises:
        InputError: saying what can be done instead.
    """
    if channels < 2:
        raise InputError(f"--modalities needs images of several channels; those of this run have {channels}")
    if channels > MOST:
        raise InputError(
            f"--modalities tests each of {2**channels - 1:,} choices of {channels} channels; up to {MOST} channels are "
            f"taken ({2**MOST - 1} choices). One choice is tested by data.missing=[{','.join(map(str, range(2)))}]"
        )


def subsets(count: int) -> Iterator[tuple[int, ...]]:
    """Yield all choices of `count` channels but none, the largest first."""
    for size in range(count, 0, -1):
        yield from combinations(range(count), size)
