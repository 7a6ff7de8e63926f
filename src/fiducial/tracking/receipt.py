"""How far a journal has been delivered."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fiducial.tracking.liveness import FOLDER, write_whole
from fiducial.tracking.tracker import DATABASE, is_embedded

RECEIPT = Path(FOLDER) / "delivered.json"  # in a run's folder


@dataclass
class Receipt:
    """How far a journal has been delivered, and where to.

    Attributes:
        uri: the store, without credentials.
        run_id: the run in MLflow, once it is known to exist.
        offset: bytes of the journal that have arrived.
        attempts: times that making the run was tried; one that timed out may have succeeded all the same.
        refused: events that the store would not take.
        postponed: files that it did not take while something was wrong with it, as events; they are tried again.
    """

    uri: str
    run_id: str | None = None
    offset: int = 0
    attempts: int = 0
    refused: int = 0
    postponed: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, uri: str) -> Receipt:
        """Read a receipt; one of another store, or a damaged one, counts as nothing delivered.

        The embedded store of the folder that the run lies in is the same wherever that folder was before.
        """
        try:
            receipt = cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls(uri)
        except (ValueError, TypeError):
            return cls(uri, attempts=1)
        around = {f"sqlite:///{place / DATABASE}" for place in path.resolve().parents}
        if is_embedded(receipt.uri) and uri in around:
            receipt.uri = uri
        return receipt if receipt.uri == uri else cls(uri, attempts=1)

    @staticmethod
    def run_id_in(out: Path) -> str | None:
        """Return the id in MLflow, of whatever store, of the run in a folder; None if no receipt can be read."""
        try:
            content = json.loads((out / RECEIPT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        found = content.get("run_id") if isinstance(content, dict) else None
        return str(found) if found else None

    def write(self, path: Path) -> None:
        """Write the receipt, whole or not at all."""
        write_whole(path, json.dumps(asdict(self)))
