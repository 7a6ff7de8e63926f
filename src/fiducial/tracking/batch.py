"""Metrics, parameters and tags that go to MLflow in one request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fiducial.tracking.journal import Event

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_ITEMS = 1000
MAX_PARAMS = 100
MAX_TAGS = 100
_MAX_BYTES = 400_000  # MLflow refuses requests above 1 MB


@dataclass
class Batch:
    """What goes out in one request: at most 1000 items, 100 of them parameters and 100 tags."""

    metrics: list[list[Any]] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    num_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.metrics or self.params or self.tags)

    def takes(self, event: Event, num_bytes: int) -> bool:
        """Return whether an event still fits."""
        values = len(event.get("values", ()))
        return (
            len(self.metrics) + len(event.get("points", ())) <= MAX_ITEMS - MAX_PARAMS - MAX_TAGS
            and (event["event"] != "params" or len(self.params) + values <= MAX_PARAMS)
            and (event["event"] != "tags" or len(self.tags) + values <= MAX_TAGS)
            and self.num_bytes + num_bytes <= _MAX_BYTES
        )

    def add(self, event: Event, num_bytes: int) -> None:
        """Add an event of metrics, parameters or tags; infinities become NaN and a tag that says so."""
        self.num_bytes += num_bytes
        if event["event"] == "params":
            self.params |= event["values"]
        elif event["event"] == "tags":
            self.tags |= event["values"]
        else:
            self.metrics += event["points"]
            for key, value, _, step in event["points"]:
                if value in ("inf", "-inf") and len(self.tags) < MAX_TAGS:
                    self.tags[f"fiducial.infinite.{key}"[:250]] = f"{value} at step {step}, stored as NaN"

    def parts(self) -> list[Batch]:
        """Return a batch for each item."""
        return [
            *(Batch(metrics=[point]) for point in self.metrics),
            *(Batch(params={key: value}) for key, value in self.params.items()),
            *(Batch(tags={key: value}) for key, value in self.tags.items()),
        ]


def log_batch(client: MlflowClient, run_id: str, batch: Batch) -> None:
    """Send a batch to a run."""
    from mlflow.entities import Metric, Param, RunTag

    # "nan" and both infinities become NaN: MLflow would store an infinity as 1.8e308
    values = [(key, float("nan") if isinstance(value, str) else value, *rest) for key, value, *rest in batch.metrics]
    client.log_batch(
        run_id,
        metrics=[Metric(*value) for value in values],
        params=[Param(*item) for item in batch.params.items()],
        tags=[RunTag(*item) for item in batch.tags.items()],
    )
