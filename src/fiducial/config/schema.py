"""The root of every configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

GROUPS = (
    "data",
    "model",
    "loss",
    "optimizer",
    "scheduler",
    "task",
    "augment",
    "hardware",
    "tracking",
    "launcher",
    "search",
    "experiment",
    "debug",
)
SWEEP_GROUPS = ("launcher", "search")  # how many runs are started; no part of any one of them
PRESETS = ("experiment", "debug")  # groups that decide about others; by default none is picked
TRAINER = "pytorch_lightning.trainer.trainer.Trainer"
# Arguments of the trainer that other keys decide: given beside these they would win, and nothing would say so.
DECIDED = {
    "max_epochs": "epochs=…",
    "max_steps": "epochs=… (and trainer.limit_train_batches=…)",
    "min_steps": "epochs=…",
    "val_check_interval": "the run itself (each epoch is validated once, at its end)",
    "fast_dev_run": "debug=fast",
    "default_root_dir": "outputs=…",
    "logger": "tracking=…",
    "callbacks": "the run itself (patience=…, select=…)",
    "enable_checkpointing": "the run itself (select=…)",
    "enable_progress_bar": "the run itself",
    "check_val_every_n_epoch": "the run itself (each epoch is validated)",
    "plugins": "hardware=…",
    "log_every_n_steps": "the run itself (the loss of every 50th step is logged)",
    "accumulate_grad_batches": "hardware.accumulate=…",
    "gradient_clip_val": "hardware.clip_norm=…",
    **{name: f"hardware.{name}=…" for name in ("accelerator", "devices", "num_nodes", "strategy", "precision")},
    **{name: f"hardware.{name}=…" for name in ("sync_batchnorm", "deterministic")},
}
# Arguments that a run gives by itself: what a configuration wrote there would have no effect.
FILLED = {
    "data": ("seed", "augment", "spec"),
    "task": (
        *("model", "loss", "optimizer", "schedule", "objective", "objective_mode"),
        *("target", "num_classes", "seed", "memory_format"),
    ),
    "loss": ("reduction",),  # the mean
    "optimizer": ("params",),
    "scheduler": ("optimizer",),
    "trainer": tuple(DECIDED),
}


@dataclass
class RunConfig:
    """One run: its own facts, and one option of each group.

    Attributes:
        name: what the run is called in the tracking UI; by default `<data>-<model>`, with the task of a decathlon.
        study: experiment in the tracking UI that the run belongs to; by default the preset's or data set's name.
        seed: every random draw of the run follows from it.
        epochs: passes over the training split.
        objective: validation metric that selects the checkpoint; losses, errors, distances and false_positives are
            better the lower, all others the higher (`fiducial.objective` tells by the name).
        select: "best" tests the checkpoint with the best objective, "last" that of the last epoch.
        patience: stop after so many epochs without a better objective; never if empty.
        resume: folder of an interrupted run to go on with; or "auto": the latest run with the settings of this command,
            which is left alone if it is finished, and a new one if there is none.
        outputs: folder of runs, the tracking database and artifacts.
        data_dir: folder in which data sets are found, and into which they are downloaded.
        cache_dir: folder of what is made of data sets once: decoded images, prepared cases, hashes of files.
        trainer: further arguments of `pytorch_lightning.Trainer`.
    """

    name: str | None = None
    study: str | None = None
    seed: int = 0
    epochs: int = 10
    objective: str | None = None
    select: str = "best"
    patience: int | None = None
    resume: str | None = None
    outputs: str = "outputs"
    data_dir: str = "${oc.env:FIDUCIAL_DATA,data}"
    cache_dir: str = "${outputs}/cache"
    trainer: dict[str, Any] = field(default_factory=dict)
    data: Any = None
    model: Any = None
    loss: Any = None
    optimizer: Any = None
    scheduler: Any = None
    task: Any = None
    augment: Any = None
    hardware: Any = None
    tracking: Any = None
    launcher: Any = None
    search: Any = None
