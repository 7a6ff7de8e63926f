"""What the command answers without loading anything heavy: help, lists, configurations and errors."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from fiducial import __version__
from fiducial.cli.command import VERBS, main
from fiducial.config import GROUPS, SWEEP_GROUPS, Groups


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    """Run in this process; return exit code, output and message."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_overview_names_every_verb(fiducial: Any) -> None:
    for arguments in ([], ["--help"], ["-h"], ["help"]):
        answer = fiducial(*arguments)
        assert (answer.code, answer.message, answer.heavy) == (0, "", ())
        assert all(f"  {verb} " in answer.output for verb in VERBS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(capsys, "--version") == (0, f"fiducial {__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_examples(verb: str, fiducial: Any) -> None:
    answer = fiducial(verb, "--help")
    assert (answer.code, answer.message, answer.heavy) == (0, "", ())
    assert f"usage: fiducial {verb}" in answer.output
    module = importlib.import_module(f"fiducial.cli.{verb.replace('-', '_')}")
    assert module.__doc__.splitlines()[0] in answer.output.replace("\n", " ")
    assert "examples:" in answer.output
    assert f"fiducial {verb}" in answer.output.partition("examples:")[2]


@pytest.mark.parametrize(
    ("verb", "groups"),
    [("train", GROUPS), ("evaluate", [g for g in GROUPS if g not in SWEEP_GROUPS]), ("predict", ["hardware"])],
)
def test_help_lists_every_option_that_a_verb_takes(
    verb: str, groups: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, _ = say(capsys, verb, "--help")
    assert code == 0
    lines = [line.split(maxsplit=1) for line in output.partition("groups and options")[2].splitlines()[1:] if line]
    listed = {group: options.split(", ") for group, options in lines}
    assert listed == {group: Groups.find().options(group) for group in groups}


@pytest.mark.slow
def test_examples_of_train_compose(fiducial: Any) -> None:
    help_text = importlib.import_module("fiducial.cli.train").EXAMPLES
    lines = [line.split("  ")[1] if line.startswith("  ") else "" for line in help_text.splitlines()]
    commands = [shlex.split(line)[2:] for line in lines if line.startswith("fiducial train")]
    assert len(commands) > 5
    for command in commands:
        if "--config-dir" not in command and "resume=outputs/runs/NAME/WHEN" not in command:
            answer = fiducial("train", *command, *["--cfg", "job"] * ("--cfg" not in command))
            assert (answer.code, answer.message) == (0, "")


def test_options(fiducial: Any) -> None:
    answer = fiducial("options")
    assert (answer.code, answer.heavy) == (0, ())
    assert [line[:-1] for line in answer.output.splitlines() if line.endswith("=")] == list(GROUPS)


def test_names_of_options_stand_clear_of_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    _, output, _ = say(capsys, "options", "data")
    groups = Groups.find()
    for option in groups.options("data"):
        assert f"  {option}  " in output
        assert f"  {groups.title('data', option)}\n" in output


def test_options_of_one_group(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = say(capsys, "options", "optimizer")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()[1:]] == Groups.find().options("optimizer")
    assert "Adam (Kingma and Ba 2015)" in output


def test_configuration_is_printed(fiducial: Any) -> None:
    answer = fiducial("train", "--cfg", "job", "model=lenet")
    assert (answer.code, answer.message, answer.heavy) == (0, "", ())
    assert yaml.safe_load(answer.output)["model"]["in_channels"] == "${data.spec.channels}"
    resolved = fiducial("train", "--cfg", "job", "--resolve", "model=lenet")
    assert yaml.safe_load(resolved.output)["model"]["in_channels"] == 1


def test_configurations_of_a_sweep_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "-m", "--cfg", "job", "experiment=tutorial_lenet,quickstart", "seed=range(2)"]
    code, output, _ = say(capsys, *command)
    assert code == 0
    found = [(job["study"], job["seed"]) for job in yaml.safe_load_all(output)]
    assert found == [("tutorial_lenet", 0), ("tutorial_lenet", 1), ("quickstart", 0), ("quickstart", 1)]


ERRORS = [
    (["trian"], "there is no verb 'trian'; did you mean train? (verbs: train, evaluate,"),
    (["train", "model=resnet81"], "model=resnet81: there is no such option; did you mean resnet18? (options of model:"),
    (["train", "modle=lenet"], "there is no group or key 'modle'; did you mean model?"),
    (["train", "optimizer.lrr=1"], "optimizer.lrr: Adam (optimizer=adam) has no such option; did you mean lr?"),
    (["train", "loss=ordinal"], "loss=ordinal needs data.spec.target to be ordinal; data=phantom gives binary"),
    (["train", "optimizer._target_=torch.optim.Adan"], "torch.optim has no Adan; did you mean Adam?"),
    (["train", "-m", "model=lenet,resnet81"], "did you mean resnet18?"),
    (["train", "epochs=abc"], "epochs: expected int, got 'abc'"),
    (["train", "model=densenet121", "data=breastmnist"], "needs data.spec.size to be at least 29"),
    (["train", "--config-dir", "nowhere"], "--config-dir must name a folder of config groups; got 'nowhere'"),
    (["train", "objective=val/auroq"], "objective=val/auroq: there is no such metric; did you mean val/auroc?"),
    (["train", "model.widths=[8,16,32,64]"], "model: after block 4 nothing is left of a 32×32 image; use fewer"),
    (["options", "modle"], "there is no group 'modle'; did you mean model?"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=lambda value: " ".join(value) if value else "")
def test_error_is_one_message_without_anything_heavy(arguments: list[str], message: str, fiducial: Any) -> None:
    answer = fiducial(*arguments)
    assert (answer.code, answer.output, answer.heavy) == (1, "", ())
    assert answer.message.startswith("fiducial: ")
    assert message in answer.message
    assert len(answer.message.strip().splitlines()) == 1


def test_stack_trace_on_demand(fiducial: Any) -> None:
    for answer in (
        fiducial("train", "model=resnet81", "--trace"),
        fiducial("train", "model=resnet81", HYDRA_FULL_ERROR="1"),
    ):
        assert answer.code == 1
        assert "Traceback" in answer.message
        assert "did you mean resnet18?" in answer.message


def test_unexpected_error_is_named_with_the_way_to_its_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("by nought\nand more")

    monkeypatch.setattr("fiducial.cli.options.run", fail)
    assert say(capsys, "options") == (1, "", "fiducial: ZeroDivisionError: by nought\n  --trace shows where\n")
    with pytest.raises(ZeroDivisionError):
        main(["options", "--trace"])


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m fiducial options --markdown | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout[:11], done.stderr) == ("# Reference", "")


def test_interrupt_ends_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fiducial.cli.options.run", interrupt)
    assert say(capsys, "options") == (130, "", "")


def test_unknown_flag_ends_with_2(fiducial: Any) -> None:
    answer = fiducial("train", "--learning-rate", "3")
    assert answer.code == 2
    assert "unrecognized arguments: --learning-rate" in answer.message


def test_current_folder_hides_no_installed_module(tmp_path: Path, fiducial: Any) -> None:
    (tmp_path / "yaml.py").write_text("raise RuntimeError('a file of the user hides an installed package')\n")
    assert fiducial("train", "--cfg", "job").code == 0


def test_evaluate_needs_a_run_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, message = say(capsys, "evaluate")
    assert code == 2
    assert message.splitlines()[-1] == "fiducial evaluate: error: the following arguments are required: run"


@pytest.mark.parametrize("verb", [("train",), ("train", "-m", "seed=0,1")])
def test_outputs_that_cannot_be_written(verb: tuple[str, ...], tmp_path: Path, fiducial: Any) -> None:
    (tmp_path / "file").touch()
    answer = fiducial(*verb, f"outputs={tmp_path}/file/inside")
    assert (answer.code, answer.heavy) == (1, ())
    assert answer.message == f"fiducial: outputs={tmp_path}/file/inside: cannot be written (Not a directory)\n"


def test_doctor_says_that_a_folder_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "nope"
    _, output, _ = say(capsys, "doctor", "--outputs", str(missing))
    assert f"warning outputs             {missing} is not there" in output
    assert not missing.exists()
    (tmp_path / "file").touch()
    code, output, _ = say(capsys, "doctor", "--outputs", str(tmp_path / "file"))
    assert (code, "is no folder" in output) == (1, True)


def test_doctor_sends_what_runs_of_other_machines_have_left(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fiducial.tracking import Tracker, track
    from fiducial.tracking.courier import DELIVERED
    from fiducial.tracking.store import connect

    monkeypatch.setenv(DELIVERED, "by a sweep that is gone")
    tracker = Tracker(outputs=tmp_path, system_metrics_seconds=0)
    for name in "ab":
        with track(tmp_path / name, tracker, name=name, experiment="test"):
            pass
    running = tmp_path / "b" / "tracking" / "journal.jsonl"
    running.write_text("".join(line for line in running.read_text().splitlines(True) if "FINISHED" not in line))
    for marker in (tmp_path / "active").glob("*.json"):
        marker.write_text(json.dumps(json.loads(marker.read_text()) | {"host": "node7", "boot": "another"}))
    code, output, _ = say(capsys, "doctor", "--outputs", str(tmp_path))
    assert code == 0
    assert "everything is delivered" in output
    assert "it is RUNNING on node7, or died there" in output
    assert tracker.uri is not None
    client = connect(tracker.uri)
    (run,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert (run.info.run_name, run.info.status) == ("a", "FINISHED")
    assert "FAILED" not in running.read_text()


def test_doctor_and_ui_know_of_a_server(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    code, output, _ = say(capsys, "doctor", "--outputs", str(tmp_path))
    assert code == 1
    assert "127.0.0.1:9 does not answer" in output
    code, _, error = say(capsys, "ui", "--outputs", str(tmp_path))
    assert code == 1
    assert "runs of tracking=server are shown by http://***@127.0.0.1:9" in error
    assert "hunter2" not in output + error
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///home/me/mlruns")  # of an older program
    code, output, _ = say(capsys, "doctor", "--outputs", str(tmp_path))
    assert code == 0
    assert "warning MLFLOW_TRACKING_URI" in output
    assert "interrupted runs" in output


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train", "--resolve"], "--resolve is for --cfg job"),
        (["train", "-m", "seed=0,1", "--plan", "--cfg", "job"], "add -m, and leave --cfg out"),
        (["train", "resume=somewhere", "--plan"], "--plan and --max-hours are for sweeps"),
        (["options", "model", "resnet18", "--markdown"], "leave resnet18 out"),
    ],
)
def test_flags_that_do_not_go_together(capsys: pytest.CaptureFixture[str], given: list[str], message: str) -> None:
    code, _, error = say(capsys, *given)
    assert code == 1
    assert message in error


def test_doctor_says_why_a_run_was_not_delivered(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fiducial.tracking import Tracker, track
    from fiducial.tracking.courier import DELIVERED

    monkeypatch.setenv(DELIVERED, "by a sweep that is gone")
    nobody = Tracker(outputs=tmp_path, uri="http://127.0.0.1:9", system_metrics_seconds=0)
    with track(tmp_path / "a", nobody, name="a", experiment="test"):
        pass
    code, output, _ = say(capsys, "doctor", "--outputs", str(tmp_path))
    assert code == 0
    assert "not everything could be delivered yet: ConnectionRefusedError: [Errno 111] Connection refused" in output


def test_a_terminal_of_another_alphabet_is_no_error() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-m", "fiducial", "--help"], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert b"usage: fiducial VERB ?" in done.stdout


@pytest.mark.slow
def test_doctor_looks_at_a_folder_that_cannot_hold_a_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a#b").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--outputs", str(tmp_path / "a#b")])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "cannot hold the tracking database" in said
    assert "interrupted runs" in said


def test_commands_that_are_named_can_be_pasted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the folder is called: that of a run that died, of one that is finished, of a database."""
    from fiducial.cli import doctor
    from fiducial.runs import folder
    from fiducial.tracking import Tracker, store

    outputs = tmp_path / "it's mine (1)"
    out = outputs / "runs" / "a" / "1"
    reconcile = importlib.import_module("fiducial.tracking.reconcile")
    died = reconcile.Reconciled("0123456789", out, died=True, delivered=True)
    monkeypatch.setattr(reconcile, "reconcile", lambda *_, **__: [died])
    (finding,) = doctor._settle(outputs, Tracker(outputs=outputs))
    assert shlex.split(finding.message.rpartition(": ")[2])[2:] == [f"resume={out}"]

    out.mkdir(parents=True)
    (out / folder.RECORD).touch()
    monkeypatch.setattr(folder, "is_settled", lambda _: True)
    _, output, _ = say(capsys, "train", f"resume={out}")
    assert shlex.split(output.split("`")[1])[2:] == [str(out)]

    said = store._broken(outputs / "mlflow.db", "text")
    assert shlex.split(said.split("`")[1])[1] == str(outputs / "mlflow.db")


def test_a_job_that_has_a_run_already_is_told_what_to_paste(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fiducial.config import compose
    from fiducial.errors import InputError
    from fiducial.runs import folder

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    composed = compose([f"outputs={tmp_path / 'of mine'}", "name=a"])
    out = folder.create(composed, "")
    with pytest.raises(InputError) as refused:
        folder.create(composed, "")
    assert f"resume={out}" in shlex.split(str(refused.value).partition(" by ")[2].rpartition(", or")[0])
