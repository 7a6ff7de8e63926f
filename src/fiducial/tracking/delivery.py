"""Delivery of a run's journal to an MLflow store: in batches, resumable, and without duplicates.

What has arrived is remembered as an offset into the journal, beside it. Sending something twice changes
nothing: a metric point has a fixed time and is stored once, a run is found by its own tag.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.tracking import journal, store
from fiducial.tracking.journal import Event
from fiducial.tracking.liveness import FOLDER, locked, write_whole
from fiducial.tracking.redaction import redact_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

RUN_TAG = "fiducial.run"
MAX_METRICS = 1000
MAX_PARAMS = 100
MAX_TAGS = 100
_ARTIFACT_TRIES = 3
_MAX_BYTES = 400_000  # MLflow refuses requests above 1 MB


class RunDeletedError(Exception):
    """The run was deleted in MLflow: what is left of its journal is not wanted there."""


@dataclass
class Receipt:
    """How far a journal has been delivered, and where to.

    Attributes:
        uri: the store, without credentials.
        run_id: the run in MLflow, once it is known to exist.
        offset: bytes of the journal that have arrived.
        attempts: times that making the run was tried; one that timed out may have succeeded all the same.
        refused: events that the store would not take.
    """

    uri: str
    run_id: str | None = None
    offset: int = 0
    attempts: int = 0
    refused: int = 0

    @classmethod
    def of(cls, path: Path, uri: str) -> Receipt:
        """Read a receipt; one of another store, or a damaged one, counts as nothing delivered."""
        try:
            receipt = cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return cls(uri)
        except (ValueError, TypeError):
            return cls(uri, attempts=1)
        return receipt if receipt.uri == uri else cls(uri, attempts=1)


@dataclass
class _Batch:
    """What goes out in one request."""

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
            len(self.metrics) + len(event.get("points", ())) <= MAX_METRICS - MAX_PARAMS - MAX_TAGS
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


class Delivery:
    """Ships the journal of one run to one store.

    Args:
        out: the run's folder.
        uri: the store.
        request_seconds: how long a request may take.
        restore: bring the run back if it was deleted in MLflow (it is being continued), instead of stopping.
    """

    def __init__(self, out: Path, uri: str, *, request_seconds: int = 20, restore: bool = False) -> None:
        self.out = out
        self.uri = uri
        self._request_seconds = request_seconds
        self._restore = restore
        self._journal = out / FOLDER / "journal.jsonl"
        self._receipt_path = out / FOLDER / "delivered.json"
        self._client: MlflowClient | None = None
        self._known_run: str | None = None
        self._failed_artifacts: Counter[str] = Counter()

    @property
    def receipt(self) -> Receipt:
        """How far the journal has been delivered."""
        return Receipt.of(self._receipt_path, redact_text(self.uri))

    @property
    def is_complete(self) -> bool:
        """Whether everything in the journal has arrived."""
        return self._journal.exists() and self.receipt.offset >= self._journal.stat().st_size

    def advance(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Ship what the journal holds and the store does not have yet.

        Args:
            stop: asked between two requests; True ends the delivery early.

        Raises:
            LockHeldError: another process is delivering this journal.
            RunDeletedError: the run was deleted in MLflow.
            Exception: whatever MLflow or the network raises; what arrived until then is remembered.
        """
        if self.is_complete and self._known_run is not None:
            return
        with locked(self._receipt_path.with_name("delivery.lock")):
            receipt = self.receipt
            if receipt.offset > self._journal.stat().st_size:  # a power loss took the journal's end
                receipt.offset = 0
            if self._client is None:
                self._client = store.connect(self.uri, self._request_seconds)
            if self._known_run is None or receipt.run_id != self._known_run:
                self._open_run(self._client, receipt)
            for chunk, offset in self._chunks(receipt.offset):
                if stop():
                    return
                self._send(self._client, receipt, chunk)
                receipt.offset = offset
                self._save(receipt)

    def _chunks(self, start: int) -> Iterator[tuple[_Batch | Event, int]]:
        """Yield batches, and events that go alone, with the offset behind each."""
        batch, before = _Batch(), start
        for event, offset in journal.read(self._journal, start):
            num_bytes = offset - before
            if event["event"] in ("metrics", "params", "tags"):
                if batch and not batch.takes(event, num_bytes):
                    yield batch, before
                    batch = _Batch()
                batch.add(event, num_bytes)
            else:
                if batch:
                    yield batch, before
                    batch = _Batch()
                yield event, offset
            before = offset
        if batch:
            yield batch, before

    def _open_run(self, client: MlflowClient, receipt: Receipt) -> None:
        """Find the run in MLflow, or make it."""
        from mlflow.exceptions import MlflowException

        if receipt.run_id is not None:
            try:
                found = client.get_run(receipt.run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                logger.warning("run %s is no longer in %s; delivered again", receipt.run_id, receipt.uri)
                receipt.run_id, receipt.offset, receipt.attempts = None, 0, 1
            else:
                if found.info.lifecycle_stage == "deleted":
                    self._revive(client, receipt.run_id)
        if receipt.run_id is None:
            receipt.run_id = self._make_run(client, receipt)
            self._save(receipt)
        self._known_run = receipt.run_id

    def _make_run(self, client: MlflowClient, receipt: Receipt) -> str:
        event = next(journal.read(self._journal))[0]
        assert event["event"] == "run", "a journal opens with its run"
        experiment = store.experiment_id(client, self.uri, event["experiment"])
        if receipt.attempts > 0 and (found := _runs_of(client, experiment, event["id"])):
            return found[0]
        receipt.attempts += 1
        self._save(receipt)
        tags = {RUN_TAG: event["id"]}
        made = client.create_run(experiment, start_time=event["time"], tags=tags, run_name=event["name"])
        return str(made.info.run_id)

    def _revive(self, client: MlflowClient, run_id: str) -> None:
        if not self._restore:
            raise RunDeletedError(run_id)
        logger.warning("run %s had been deleted in MLflow; restored, because it goes on", run_id)
        client.restore_run(run_id)

    def _send(self, client: MlflowClient, receipt: Receipt, chunk: _Batch | Event) -> None:
        if isinstance(chunk, _Batch):
            self._send_batch(client, receipt, chunk)
            return
        assert receipt.run_id is not None
        match chunk["event"]:
            case "artifact":
                self._send_artifact(client, receipt, chunk)
            case "status" if chunk["status"] == "RUNNING":
                client.update_run(receipt.run_id, status="RUNNING")
            case "status":
                client.set_terminated(receipt.run_id, chunk["status"], chunk["time"])
                if receipt.attempts > 1:
                    self._delete_doubles(client, receipt)
            case "unreadable":
                self._set_aside(receipt, chunk, "a damaged line of the journal")

    def _send_batch(self, client: MlflowClient, receipt: Receipt, batch: _Batch) -> None:
        """Send a batch; if the store refuses it, send its items one by one and set aside what is refused."""
        from mlflow.exceptions import MlflowException

        assert receipt.run_id is not None
        try:
            _log_batch(client, receipt.run_id, batch)
        except MlflowException as error:
            if error.error_code not in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
                raise
            run_id = receipt.run_id
            self._open_run(client, receipt)  # refused, or is the run gone?
            if receipt.run_id != run_id:
                raise
            parts = _parts(batch)
            if len(parts) == 1:
                self._set_aside(receipt, asdict(batch), str(error))
                return
            for part in parts:
                self._send_batch(client, receipt, part)

    def _send_artifact(self, client: MlflowClient, receipt: Receipt, event: Event) -> None:
        """Send a file; one that a store in good health does not take must not hold up what comes after."""
        assert receipt.run_id is not None
        path = self.out / event["path"]
        if not path.is_file():
            self._set_aside(receipt, event, f"{path} does not exist any more")
            return
        try:
            client.log_artifact(receipt.run_id, str(path), event["folder"] or None)
        except Exception as error:
            client.get_run(receipt.run_id)
            self._failed_artifacts[str(path)] += 1
            if self._failed_artifacts[str(path)] < _ARTIFACT_TRIES:
                raise
            self._set_aside(receipt, event, str(error))

    def _delete_doubles(self, client: MlflowClient, receipt: Receipt) -> None:
        """Delete the runs that came of requests which timed out, yet were carried out later."""
        assert receipt.run_id is not None
        run = client.get_run(receipt.run_id)
        for run_id in _runs_of(client, run.info.experiment_id, run.data.tags[RUN_TAG]):
            if run_id != receipt.run_id:
                client.delete_run(run_id)

    def _set_aside(self, receipt: Receipt, content: Event, reason: str) -> None:
        reason = redact_text(reason)
        path = self.out / FOLDER / "refused.jsonl"
        with path.open("a") as file:
            file.write(json.dumps({"reason": reason, "event": content}) + "\n")
        receipt.refused += 1
        level = logging.WARNING if receipt.refused == 1 else logging.DEBUG
        logger.log(level, "the tracking store did not take everything (%s); see %s", reason, path)

    def _save(self, receipt: Receipt) -> None:
        write_whole(self._receipt_path, json.dumps(asdict(receipt)))


def _log_batch(client: MlflowClient, run_id: str, batch: _Batch) -> None:
    from mlflow.entities import Metric, Param, RunTag

    # "nan" and both infinities become NaN: MLflow would store an infinity as 1.8e308
    values = [
        (key, float("nan") if isinstance(value, str) else value, *rest) for key, value, *rest in batch.metrics
    ]
    client.log_batch(
        run_id,
        metrics=[Metric(*value) for value in values],
        params=[Param(*item) for item in batch.params.items()],
        tags=[RunTag(*item) for item in batch.tags.items()],
    )


def _runs_of(client: MlflowClient, experiment: str, run: str) -> list[str]:
    """Return the MLflow runs that carry a run's tag, oldest first."""
    found = client.search_runs(
        [experiment], f"tags.`{RUN_TAG}` = '{run}'", order_by=["attributes.start_time ASC"]
    )
    return [str(match.info.run_id) for match in found]


def _parts(batch: _Batch) -> list[_Batch]:
    return [
        *(_Batch(metrics=[point]) for point in batch.metrics),
        *(_Batch(params={key: value}) for key, value in batch.params.items()),
        *(_Batch(tags={key: value}) for key, value in batch.tags.items()),
    ]
