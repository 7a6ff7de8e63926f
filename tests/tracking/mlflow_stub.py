"""A small stand-in for an MLflow server that can be told to hang, to fail, to be slow, or to go away."""

from __future__ import annotations

import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class MlflowStub:
    """Keeps experiments and runs in memory; a metric point is stored once, as in MLflow's database.

    Attributes:
        delay: seconds before each request is answered.
        broken: answer every request with status 500.
        late_creations: so many requests to make a run are carried out, but answered too late.
    """

    def __init__(self, artifacts: Path) -> None:
        self.delay = 0.0
        self.broken = False
        self.late_creations = 0
        self.requests = 0
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self._artifacts = artifacts
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()
        self.port = 0

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                url = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                status, content = stub.handle(url.path.rpartition("/mlflow/")[2], body | query)
                data = json.dumps(content).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # the client has hung up
                    self.close_connection = True

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def handle(self, endpoint: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests += 1
        if self.broken:
            return 500, {"error_code": "INTERNAL_ERROR", "message": "broken"}
        if endpoint == "runs/create" and self.late_creations > 0:
            self.late_creations -= 1
            time.sleep(2.5)
        time.sleep(self.delay)
        with self._lock:
            return getattr(self, "_" + endpoint.replace("/", "_").replace("-", "_"))(body)

    def _experiments_get_by_name(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = body["experiment_name"]
        if name not in self.experiments:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": name}
        found = {"experiment_id": self.experiments[name], "name": name, "lifecycle_stage": "active"}
        return 200, {"experiment": found}

    def _experiments_create(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.experiments[body["name"]] = str(len(self.experiments) + 1)
        return 200, {"experiment_id": self.experiments[body["name"]]}

    def _runs_create(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        run_id = uuid.uuid4().hex
        self.runs[run_id] = {
            "experiment_id": body["experiment_id"], "name": body["run_name"], "status": "RUNNING",
            "stage": "active", "start": body["start_time"], "end": None,
            "tags": {tag["key"]: tag["value"] for tag in body["tags"]}, "params": {}, "points": set(),
        }  # fmt: skip
        return 200, {"run": self._run(run_id)}

    def _runs_get(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, {"run": self._run(body["run_id"])}

    def _runs_search(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        wanted = body["filter"].partition(" = ")[2].strip("'")
        found = [
            key for key, run in self.runs.items() if run["tags"]["fiducial.run"] == wanted and run["stage"] == "active"
        ]
        return 200, {"runs": [self._run(run_id) for run_id in found]}

    def _runs_log_batch(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        run = self.runs[body["run_id"]]
        run["params"] |= {item["key"]: item["value"] for item in body.get("params", ())}
        run["tags"] |= {item["key"]: item["value"] for item in body.get("tags", ())}
        run["points"] |= {
            (item["key"], int(item["timestamp"]), int(item.get("step", 0)), float(item["value"]))
            for item in body.get("metrics", ())
        }
        return 200, {}

    def _runs_log_inputs(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, {}

    def _runs_update(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        run = self.runs[body["run_id"]]
        run["status"] = body.get("status", run["status"])
        run["name"] = body.get("run_name", run["name"])
        run["end"] = body.get("end_time", run["end"])
        return 200, {"run_info": self._run(body["run_id"])["info"]}

    def _runs_delete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.runs[body["run_id"]]["stage"] = "deleted"
        return 200, {}

    def _run(self, run_id: str) -> dict[str, Any]:
        run = self.runs[run_id]
        info = {
            "run_id": run_id, "run_uuid": run_id, "experiment_id": run["experiment_id"],
            "run_name": run["name"],
            "status": run["status"], "start_time": run["start"], "lifecycle_stage": run["stage"],
            "artifact_uri": (self._artifacts / run_id).as_uri(),
        }  # fmt: skip
        tags = [{"key": key, "value": value} for key, value in run["tags"].items()]
        return {"info": info, "data": {"tags": tags}}
