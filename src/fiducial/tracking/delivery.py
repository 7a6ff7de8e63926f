"""Delivery of a run's journal to an MLflow store: in batches, resumable, and without duplicates.

What has arrived is remembered as an offset into the journal, beside it. Sending something twice changes
nothing: a metric point has a fixed time and is stored once, a run is found by its own tag.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.redaction import redact_text
from fiducial.tracking import journal, store
from fiducial.tracking.batch import Batch, log_batch
from fiducial.tracking.journal import Event
from fiducial.tracking.liveness import FOLDER, LockHeldError, locked
from fiducial.tracking.receipt import RECEIPT, Receipt
from fiducial.wording import counted

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

RUN_TAG, PARENT_TAG = "fiducial.run", "mlflow.parentRunId"
_ARTIFACT_TRIES = 3
_ARTIFACT_PAUSE, _LONGEST_ARTIFACT_PAUSE = 30.0, 600.0  # seconds
_REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")  # of what is sent, or because the run is gone


class RunDeletedError(Exception):
    """The run was deleted in MLflow: what is left of its journal is not wanted there."""


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
        self._receipt_path = out / RECEIPT
        self._client: MlflowClient | None = None
        self._known_run: str | None = None
        self._failed_artifacts: Counter[str] = Counter()
        self._again, self._pause = 0.0, _ARTIFACT_PAUSE  # when postponed files are next tried, and how long until then
        self._trouble = ""

    @property
    def left(self) -> str:
        """Which files are tried again later, and why; empty where there are none, or none was tried."""
        number = len(self.receipt.postponed)
        return f"{counted(number, 'file')} could not be stored: {self._trouble}" if number and self._trouble else ""

    @property
    def receipt(self) -> Receipt:
        """How far the journal has been delivered."""
        return Receipt.of(self._receipt_path, redact_text(self.uri))

    @property
    def is_complete(self) -> bool:
        """Whether everything in the journal has arrived."""
        receipt = self.receipt
        return self._journal.exists() and receipt.offset == self._journal.stat().st_size and not receipt.postponed

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
                receipt.offset, receipt.postponed = 0, []
            if self._client is None:
                self._client = store.connect(self.uri, self._request_seconds)
            if self._known_run is None or receipt.run_id != self._known_run:
                self._open_run(self._client, receipt)
            for chunk, offset in self._chunks(receipt.offset):
                if stop():
                    return
                self._send_in_any_case(self._client, receipt, chunk)
                receipt.offset = offset
                self._save(receipt)
            if time.monotonic() >= self._again:
                self._send_postponed(self._client, receipt, stop)

    def _chunks(self, start: int) -> Iterator[tuple[Batch | Event, int]]:
        """Yield batches, and events that go alone, each with the offset up to which all has been sent once it has.

        Files wait for the batch that they come in the middle of: every request costs, and only the run's beginning,
        its status and its place have theirs in the order.
        """
        batch, alone, before = Batch(), list[tuple[int, Event]](), start
        for event, offset in journal.read(self._journal, start):
            num_bytes = offset - before
            match event["event"]:
                case "metrics" | "params" | "tags":
                    if batch and not batch.takes(event, num_bytes):
                        yield from _parcel(batch, alone, before)
                        batch, alone = Batch(), []
                    batch.add(event, num_bytes)
                case "artifact" | "dataset" if batch:
                    alone.append((before, event))
                case _:
                    yield from _parcel(batch, alone, before)
                    batch, alone = Batch(), []
                    yield event, offset
            before = offset
        yield from _parcel(batch, alone, before)

    def _open_run(self, client: MlflowClient, receipt: Receipt) -> bool:
        """Find the run in MLflow, or make it; return whether it had been deleted, and is there again."""
        from mlflow.exceptions import MlflowException

        revived = False
        if receipt.run_id is not None:
            try:
                found = client.get_run(receipt.run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                logger.warning("run %s is no longer in %s; delivered again", receipt.run_id, receipt.uri)
                receipt.run_id, receipt.offset, receipt.attempts, receipt.postponed = None, 0, 1, []
            else:
                if revived := found.info.lifecycle_stage == "deleted":
                    self._revive(client, receipt.run_id)
        if receipt.run_id is None:
            receipt.run_id = self._make_run(client, receipt)
            self._save(receipt)
        self._known_run = receipt.run_id
        return revived

    def _make_run(self, client: MlflowClient, receipt: Receipt) -> str:
        event = next(journal.read(self._journal))[0]
        assert event["event"] == "run", "a journal opens with its run"
        experiment = store.experiment_id(client, self.uri, event["experiment"])
        if receipt.attempts > 0 and (found := _runs_of(client, experiment, event["id"])):
            return found[0]
        receipt.attempts += 1
        self._save(receipt)
        history = journal.History.of(self._journal)  # it may have been taken over before it was ever delivered
        tags = {RUN_TAG: event["id"], **self._parent_tag(client, history.parent)}
        made = client.create_run(experiment, start_time=event["time"], tags=tags, run_name=history.name)
        return str(made.info.run_id)

    def _parent_tag(self, client: MlflowClient, parent: str) -> dict[str, str]:
        """Return what nests a run below the one in a folder; nothing if there is none, or it is gone."""
        folder = (self.out / parent).resolve()
        if not parent or not (folder / FOLDER / "journal.jsonl").exists():
            return {}
        return {PARENT_TAG: self._run_of(client, folder)}

    def _run_of(self, client: MlflowClient, parent: Path) -> str:
        """Return the MLflow run of another folder, made if it is not there yet.

        Raises:
            LockHeldError: another process is about to make it.
        """
        other = Delivery(parent, self.uri, request_seconds=self._request_seconds)
        with suppress(LockHeldError, RunDeletedError), locked(other._receipt_path.with_name("delivery.lock")):
            other._open_run(client, other.receipt)
        if (run_id := other.receipt.run_id) is None:
            raise LockHeldError(parent)
        return run_id

    def _revive(self, client: MlflowClient, run_id: str) -> None:
        if not self._restore:
            raise RunDeletedError(run_id)
        logger.warning("run %s had been deleted in MLflow; restored, because it goes on", run_id)
        client.restore_run(run_id)

    def _send_in_any_case(self, client: MlflowClient, receipt: Receipt, chunk: Batch | Event) -> None:
        """Send; what is refused, again if the run had been deleted meanwhile, else without the items at fault."""
        from mlflow.exceptions import MlflowException

        try:
            self._send(client, receipt, chunk)
        except MlflowException as error:
            if error.error_code not in _REFUSALS:
                raise
            run_id = receipt.run_id
            revived = self._open_run(client, receipt)
            if receipt.run_id != run_id:
                raise
            if revived:
                self._send(client, receipt, chunk)
            elif isinstance(chunk, Batch):
                self._send_parts(client, receipt, chunk, str(error))
            else:
                raise

    def _send_parts(self, client: MlflowClient, receipt: Receipt, batch: Batch, reason: str) -> None:
        parts = batch.parts()
        if len(parts) == 1:
            self._set_aside(receipt, asdict(batch), reason)
            return
        for part in parts:
            self._send_in_any_case(client, receipt, part)

    def _send(self, client: MlflowClient, receipt: Receipt, chunk: Batch | Event) -> None:
        assert receipt.run_id is not None
        if isinstance(chunk, Batch):
            log_batch(client, receipt.run_id, chunk)
            return
        match chunk["event"]:
            case "artifact":
                self._send_artifact(client, receipt, chunk)
            case "dataset":
                _log_dataset(client, receipt.run_id, chunk)
            case "nested":
                if tag := self._parent_tag(client, chunk["parent"]):
                    log_batch(client, receipt.run_id, Batch(tags=tag))
                client.update_run(receipt.run_id, name=chunk["name"])
            case "status" if chunk["status"] == "RUNNING":
                client.update_run(receipt.run_id, status="RUNNING")
            case "status":
                client.set_terminated(receipt.run_id, chunk["status"], chunk["time"])
                if receipt.attempts > 1:
                    self._delete_doubles(client, receipt)
            case "unreadable":
                self._set_aside(receipt, chunk, "a damaged line of the journal")

    def _send_artifact(self, client: MlflowClient, receipt: Receipt, event: Event) -> None:
        """Send a file; one that a store in good health does not take must not hold up what comes after."""
        assert receipt.run_id is not None
        if receipt.postponed:  # a store in trouble is not asked anew for each file
            receipt.postponed.append(event)
            return
        try:
            self._store(client, receipt, event)
        except Exception as error:
            client.get_run(receipt.run_id)
            self._failed_artifacts[event["path"]] += 1
            if self._failed_artifacts[event["path"]] < _ARTIFACT_TRIES:
                raise
            receipt.postponed.append(event)
            self._put_off(error)
            logger.warning("the tracking store does not take files for now: %s", self._trouble)

    def _send_postponed(self, client: MlflowClient, receipt: Receipt, stop: Callable[[], bool]) -> None:
        """Try again to send files that the store did not take; what it does not take now, it may later."""
        while receipt.postponed and not stop():
            try:
                self._store(client, receipt, receipt.postponed[0])
            except Exception as error:
                self._put_off(error)
                return
            receipt.postponed.pop(0)
            self._save(receipt)

    def _store(self, client: MlflowClient, receipt: Receipt, event: Event) -> None:
        """Store a file; set one aside that is not there, or that the store would refuse again."""
        assert receipt.run_id is not None
        path = self.out / event["path"]
        if not path.is_file():
            self._set_aside(receipt, event, f"{path} does not exist any more")
            return
        try:
            client.log_artifact(receipt.run_id, str(path), event["folder"] or None)
        except Exception as error:
            if not _is_lasting(error):
                raise
            client.get_run(receipt.run_id)  # else it is the run that is gone
            self._set_aside(receipt, event, str(error))

    def _put_off(self, error: Exception) -> None:
        self._trouble = redact_text(str(error))
        self._again = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_ARTIFACT_PAUSE)

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
        receipt.write(self._receipt_path)


def _is_lasting(error: Exception) -> bool:
    """Tell whether a store would refuse the same request again, rather than be in trouble or busy."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None and hasattr(error, "get_http_status_code"):
        status = error.get_http_status_code()
    return status is not None and 400 <= status < 500 and status not in (408, 429)


def _parcel(batch: Batch, alone: list[tuple[int, Event]], end: int) -> Iterator[tuple[Batch | Event, int]]:
    """Yield a batch, if there is any, and the events found in the middle of it.

    After an interruption among these, the first that is missing begins the next stretch: what comes twice is metrics.
    """
    if not batch:
        return
    ends = [*(start for start, _ in alone), end]
    yield batch, ends[0]
    for (_, event), offset in zip(alone, ends[1:], strict=True):
        yield event, offset


def _log_dataset(client: MlflowClient, run_id: str, event: Event) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = json.dumps(event["profile"])
    dataset = Dataset(event["name"], event["digest"], source_type="local", source="{}", profile=profile)
    context = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, [context])])


def _runs_of(client: MlflowClient, experiment: str, run: str) -> list[str]:
    """Return the MLflow runs that carry a run's tag, oldest first."""
    found = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run}'", order_by=["attributes.start_time ASC"])
    return [str(match.info.run_id) for match in found]
