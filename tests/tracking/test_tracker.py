import pytest

from fiducial.errors import InputError
from fiducial.tracking import Tracker
from fiducial.tracking.tracker import embedded_uri


def test_the_embedded_store_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = Tracker(outputs="outputs")
    assert tracker.uri == f"sqlite:///{tmp_path}/outputs/mlflow.db"
    assert tracker.is_local


def test_a_relative_database_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Tracker(outputs=tmp_path, uri="sqlite:///a.db").uri == f"sqlite:///{tmp_path}/a.db"


def test_no_store(tmp_path):
    tracker = Tracker(outputs=tmp_path, uri=None)
    assert tracker.shown_uri is None
    assert not tracker.is_local


def test_server_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@host:5000")
    tracker = Tracker(outputs=tmp_path, uri="env")
    assert tracker.uri == "https://me:hunter2@host:5000"
    assert tracker.shown_uri == "https://***@host:5000"
    assert "hunter2" not in repr(tracker)


def test_a_server_without_an_address(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match="set MLFLOW_TRACKING_URI or tracking"):
        Tracker(outputs=tmp_path, uri="env")


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/x", "htp://host", "localhost:5000", ""])
def test_uris_that_mlflow_does_not_take(tmp_path, uri):
    with pytest.raises(InputError, match="expected 'embedded'"):
        Tracker(outputs=tmp_path, uri=uri)


def test_a_refused_uri_keeps_its_secret(tmp_path):
    with pytest.raises(InputError, match="did you mean http") as caught:
        Tracker(outputs=tmp_path, uri="htp://me:hunter2@host")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("field", ["flush_seconds", "patience_seconds", "system_metrics_seconds", "request_seconds"])
def test_periods(tmp_path, field):
    with pytest.raises(InputError, match=f"tracking.{field}: expected"):
        Tracker(outputs=tmp_path, **{field: -1})


def test_a_path_that_a_database_uri_cannot_hold(tmp_path):
    with pytest.raises(InputError, match="cannot hold"):
        embedded_uri(tmp_path / "what?")
