"""A search proposes, learns, goes on: with runs whose outcome is computed here."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.plugins.sweeper import Sweeper
from hydra.utils import instantiate
from optuna.trial import TrialState
from PIL import Image
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from fiducial.config import Composed, Groups, compose
from fiducial.errors import InputError
from fiducial.sweeps import sweep as sweeping
from fiducial.sweeps.job import Ending, Spec, State
from fiducial.sweeps.search import outage, storage, sweeper
from fiducial.sweeps.search.grammar import split
from fiducial.sweeps.search.pictures import _importances
from fiducial.sweeps.search.results import direction, values_of
from fiducial.sweeps.search.samplers import PRUNERS, SAMPLERS, check_sampler, node
from fiducial.sweeps.search.search import Search
from fiducial.sweeps.search.storage import AwayError, Owner, storage_url
from fiducial.sweeps.search.study import MESSAGE, Question
from fiducial.sweeps.search.sweeper import OptunaSweeper, find
from fiducial.sweeps.summary import summarise

SPACE = ("optimizer.lr=tag(log, interval(1e-5,1e-1))", "model.dropout=interval(0,0.8)")
Make = Callable[..., Search]


@pytest.fixture(scope="module", autouse=True)
def unsafe_but_fast() -> Iterator[None]:
    """Let SQLite leave to the system when it writes to the disk: no power fails here."""

    def prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", prepare)
    yield
    event.remove(Engine, "connect", prepare)


@pytest.fixture(scope="module")
def start() -> Composed:
    return compose(["tracking=none"])


@pytest.fixture
def make(tmp_path: Path, start: Composed) -> Iterator[Make]:
    """Return searches over one database, as two commands would make them one after the other."""
    made: list[Search] = []

    def make(
        *space: str,
        sampler: str = "random",
        total: int = 6,
        objectives: Sequence[str] = ("val/loss",),
        pruner: str | None = None,
        seed: int = 0,
        name: str = "study",
    ) -> Search:
        described = node("sampler", sampler, SAMPLERS)
        assert described is not None
        question = Question(
            name=name,
            storage=storage_url(None, tmp_path),
            outputs=tmp_path,
            space=split(space or SPACE, Groups.find())[1],
            sampler=described,
            pruner=node("pruner", pruner, PRUNERS),
            objectives=tuple(objectives),
            directions=tuple(map(direction, objectives)),
            settings={"epochs": 3},
            seed=seed,
            epochs=3,
            total=total,
        )
        made.append(Search(question, ("batch=1",), None, start))
        return made[-1]

    yield make
    for search in made:
        search.close()


def values(spec: Spec) -> dict[str, str]:
    return dict(line.split("=", 1) for line in spec.overrides)


def loss(spec: Spec) -> float:
    """Return a loss whose minimum is at a learning rate of 0.001 and a dropout of 0.2."""
    given = values(spec)
    lr, dropout = float(given.get("optimizer.lr", 1e-3)), float(given.get("model.dropout", 0.2))
    return (math.log10(lr) + 3) ** 2 + (dropout - 0.2) ** 2


def end(search: Search, spec: Spec, state: State = "done", value: float | None = None, parameters: int = 1) -> None:
    """Write what a run leaves behind, and tell the search."""
    out = search.question.outputs / "runs" / "x" / str(spec.number)
    (out / "tracking").mkdir(parents=True, exist_ok=True)
    objective = {"name": "val/loss", "value": loss(spec) if value is None else value}
    (out / "scores.json").write_text(json.dumps({"epoch": 1, "objective": objective, "scores": {}, "subjects": 9}))
    (out / "run.json").write_text(json.dumps({"identity": "", "choices": {}, "overrides": []}))
    event = {"event": "params", "values": {"parameters": str(parameters)}}
    (out / "tracking" / "journal.jsonl").write_text(json.dumps(event) + "\n")
    search.ended(Ending(spec.number, state, str(out), "it broke" if state == "failed" else ""))


def complete(search: Search) -> list[Spec]:
    """Run a search to its end, one run at a time."""
    done = []
    for spec in search.specs():
        end(search, spec)
        done.append(spec)
    return done


def states(search: Search) -> list[TrialState]:
    return [trial.state for trial in search.trials]


GP = pytest.param("gp", marks=pytest.mark.slow)  # it imports torch


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", GP, "nsga2", "qmc"])
def test_proposals_are_in_the_space(sampler: str, make: Make) -> None:
    lines = ("optimizer.lr=tag(log, interval(1e-4,1e-2))", "model.dropout=range(0,0.9,0.2)", "model=lenet,resnet18")
    search = make(*lines, "epochs=int(interval(3,5))", sampler=sampler, total=14)
    done = [values(spec) for spec in complete(search)]
    assert len(done) == 14
    assert all(1e-4 <= float(given["optimizer.lr"]) <= 1e-2 for given in done)
    assert {given["model.dropout"] for given in done} <= {"0.0", "0.2", "0.4", "0.6", "0.8"}
    assert {given["model"] for given in done} <= {"lenet", "resnet18"}
    assert {given["epochs"] for given in done} <= {"3", "4", "5"}
    assert len({given["optimizer.lr"] for given in done}) > 5


def test_grid_is_gone_through_once_and_then_over(make: Make) -> None:
    search = make("epochs=range(1,4)", "model.dropout=0,0.5", sampler="grid", total=6)
    found = [(values(spec)["epochs"], values(spec)["model.dropout"]) for spec in complete(search)]
    assert found == [(epochs, dropout) for epochs in "123" for dropout in ("0", "0.5")]
    assert complete(make("epochs=range(1,4)", "model.dropout=0,0.5", sampler="grid", total=6)) == []


def test_it_goes_on_to_a_total(make: Make) -> None:
    first = make(total=4)
    assert [spec.number for spec in complete(first)] == [0, 1, 2, 3]
    first.close()
    assert len(make(total=4)) == 0
    more = make(total=6)
    assert len(more) == 2
    assert [spec.number for spec in complete(more)] == [4, 5]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "cmaes", GP])
def test_an_interrupted_search_proposes_what_an_uninterrupted_one_does(sampler: str, make: Make) -> None:
    whole = [spec.overrides for spec in complete(make(sampler=sampler, total=13))]
    parts = []
    for total in (5, 12, 13):
        search = make(sampler=sampler, total=total, name="parts")
        parts += [spec.overrides for spec in complete(search)]
        search.close()
    assert parts == whole
    assert len(set(whole)) == 13


def test_what_a_dead_process_left_is_run_again_as_it_was(make: Make) -> None:
    first = make(total=4)
    specs = list(islice(first.specs(), 3))
    end(first, specs[1])
    first.close()  # as if it had been killed: nobody holds its lock
    second = make(total=4)
    again = list(islice(second.specs(), 2))
    assert [(spec.number, spec.overrides) for spec in again] == [(s.number, s.overrides) for s in specs[::2]]
    for spec in again:
        end(second, spec)
    second.close()
    last = make(total=4)
    assert [spec.number for spec in complete(last)] == [3]
    assert states(last) == [TrialState.COMPLETE] * 4


def test_what_a_living_process_has_is_left_to_it(make: Make) -> None:
    first, second = make(total=3), make(total=3)
    (theirs,) = islice(first.specs(), 1)
    assert [spec.number for spec in complete(second)] == [1, 2]
    end(first, theirs)
    assert states(second) == [TrialState.COMPLETE] * 3


def test_failed_trials_count_now_and_are_tried_again_by_the_next_command(make: Make) -> None:
    first = make(total=3)
    given = {}
    for spec in first.specs():
        given[spec.number] = spec.overrides
        end(first, spec, "failed" if spec.number == 1 else "done")
    assert states(first).count(TrialState.FAIL) == 1
    assert next(t for t in first.trials if t.state == TrialState.FAIL).user_attrs[MESSAGE] == "it broke"
    first.close()
    second = make(total=3)
    assert len(second) == 1
    (again,) = complete(second)
    assert (again.number, again.overrides) == (3, given[1])
    assert states(second) == [TrialState.COMPLETE] * 3


@pytest.mark.parametrize("state", ["stopped", "elsewhere"])
def test_what_did_not_end_is_left_for_the_next_command(state: State, make: Make) -> None:
    first = make(total=1)
    (spec,) = first.specs()
    end(first, spec, state)
    first.close()
    second = make(total=1)
    assert [one.overrides for one in complete(second)] == [spec.overrides]


def test_equal_trials_share_one_run(make: Make) -> None:
    search = make("model=lenet,resnet18", total=8)
    running = list(search.specs())  # as many at once as there is anything to run
    assert sorted(values(spec)["model"] for spec in running) == ["lenet", "resnet18"]
    for spec in running:
        end(search, spec, value=0.5 if values(spec)["model"] == "lenet" else 0.7)
    assert states(search) == [TrialState.COMPLETE] * 8
    assert {trial.params["model"]: trial.value for trial in search.trials} == {"lenet": 0.5, "resnet18": 0.7}
    assert len(list(search.finished())) == 2


def test_best_is_the_least_loss(make: Make) -> None:
    search = make(total=8)
    found = {spec.number: loss(spec) for spec in complete(search)}
    best = summarise(search.finished(), search.objectives).best
    assert best is not None
    assert best.objective == ("val/loss", min(found.values()))
    number = min(found, key=found.__getitem__)
    assert best.out == search.question.outputs / "runs" / "x" / str(number)


def test_pareto_front_is_what_brute_force_finds(make: Make) -> None:
    search = make(sampler="nsga2", total=20, objectives=("val/loss", "parameters"))
    points: dict[int, tuple[float, int]] = {}
    for spec in search.specs():
        parameters = 100 - int(100 * float(values(spec)["model.dropout"]))
        points[spec.number] = (loss(spec), parameters)
        end(search, spec, parameters=parameters)
    front = {
        number
        for number, one in points.items()
        if not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in points.values())
    }
    assert {trial.number for trial in search.trials.study.best_trials} == front
    summary = summarise(search.finished(), search.objectives)
    assert {int(summary.settings[setting][0].out.name) for setting in summary.front} == front
    assert 1 < len(front) < 20


def test_a_named_study_is_about_one_thing(make: Make) -> None:
    make(name="mine").trials.close()
    with pytest.raises(InputError) as raised:
        complete(make("optimizer.lr=interval(0,1)", "model.dropout=interval(0,0.8)", name="mine", seed=4))
    message = str(raised.value)
    assert "search.study=mine is there already" in message
    assert "space.optimizer.lr was log interval(1e-05, 0.1), and is now interval(0, 1)" in message
    assert "seed was 0, and is now 4" in message
    assert "dropout" not in message


def test_objectives_are_those_of_the_selected_epoch(tmp_path: Path) -> None:
    (tmp_path / "tracking").mkdir()
    objective = {"name": "val/loss", "value": 0.4}
    (tmp_path / "scores.json").write_text(json.dumps({"epoch": 1, "objective": objective}))
    points = [["val/auroc", 0.1 * epoch, 0, epoch] for epoch in (1, 2, 3)] + [["val/f1", "nan", 0, 1]]
    events = [{"event": "params", "values": {"parameters": "210"}}, {"event": "metrics", "points": points}]
    (tmp_path / "tracking" / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert values_of(tmp_path, ["val/loss"]) == [0.4]
    assert values_of(tmp_path, ["val/loss", "val/auroc", "parameters"]) == [0.4, 0.1, 210]
    with pytest.raises(InputError, match=r"objective val/acu: the run .* has none; did you mean val/auroc\?"):
        values_of(tmp_path, ["val/loss", "val/acu"])
    assert math.isnan(values_of(tmp_path, ["val/f1"])[0])
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "scores.json").write_text(json.dumps({"epoch": 1}))
    with pytest.raises(InputError, match=r"it has: nothing: they are read from its tracking/journal\.jsonl"):
        values_of(tmp_path / "bare", ["val/loss"])
    (tmp_path / "scores.json").write_text(json.dumps({"epoch": 1}))  # of a run by an earlier version
    assert values_of(tmp_path, ["val/auroc"]) == [0.1]


def test_an_undefined_objective_is_a_failed_trial(make: Make) -> None:
    search = make(total=2)
    for spec in search.specs():
        end(search, spec, value=math.nan if spec.number == 0 else 0.5)
    assert states(search) == [TrialState.FAIL, TrialState.COMPLETE]
    assert "finite objectives" in next(iter(search.trials)).user_attrs[MESSAGE]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "search.trials: expected at least 1, got 0"),
        ({"sampler": "tpa"}, "there is none of that name; did you mean tpe?"),
        ({"sampler": {"n_startup_trials": 3}}, "expected one of tpe, "),
        ({"pruner": "medain"}, "did you mean median?"),
        ({"objectives": ["test/auroc"]}, "Give val/auroc"),
        ({"objectives": ["val/auroc", "paramters"]}, "did you mean parameters?"),
        ({"objectives": ["val/auroc", "val/auroc"]}, "expected different ones"),
        ({"objectives": ["val/auroc", "parameters"], "pruner": "median"}, "with several objectives"),
        ({"sampler": {"_target_": "optuna.samplers.BruteForceSampler"}}, "search=grid does that"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as raised:
        OptunaSweeper(**options)  # type: ignore[arg-type]
    assert message in str(raised.value)


def test_a_sampler_must_fit_the_space() -> None:
    _, space = split(["optimizer.lr=interval(0,1)", "model=lenet,resnet18"], Groups.find())
    with pytest.raises(InputError, match=r"needs two intervals or ranges; got 1 .* search=tpe fits"):
        check_sampler({"_target_": SAMPLERS["cmaes"]}, space, 1)
    with pytest.raises(InputError, match=r"search\.seed; give that"):
        check_sampler({"_target_": SAMPLERS["tpe"], "seed": 1}, space, 1)


@pytest.mark.slow
def test_the_command_line_makes_a_search(tmp_path: Path) -> None:
    common = ["search=tpe", f"outputs={tmp_path}", "epochs=3", "search.sampler.n_startup_trials=4", *SPACE]
    one, longer, other = find(common), find([*common, "search.trials=70", "launcher.at_once=1"]), find([*common[:-1]])
    assert one is not None
    assert longer is not None
    assert other is not None
    assert (one.question.total, longer.question.total) == (50, 70)
    assert one.question.name == longer.question.name != other.question.name
    assert one.question.sampler == {"_target_": "optuna.samplers.TPESampler", "n_startup_trials": 4}
    assert one.question.objectives == ("val/auroc",)
    assert one.question.directions == ("maximize",)
    assert one.out == tmp_path / "sweeps" / one.question.name
    assert find(["epochs=3", "optimizer.lr=0.1,0.2", "seed=0,1"]) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["search=tpe"], "there is nothing to search: give ranges"),
        (["search=tpa", *SPACE], "search=tpa: there is no such option; did you mean tpe?"),
        (["search=tpe", "search.trails=3", *SPACE], "has no such option; did you mean trials?"),
        (["search=tpe", "search.sampler.n_startup=3", *SPACE], "did you mean n_startup_trials?"),
        (["search=tpe", "search.trials=many", *SPACE], "search.trials"),
        (["search=tpe", "search.trials=0", *SPACE], "search.trials: expected at least 1, got 0"),
        (["search=tpe", "search.pruner=median", "search.pruner.n_warmup_steps=2", *SPACE], "search.pruner._target_=…"),
        (["search=cmaes", SPACE[0]], "needs two intervals or ranges; got 1"),
        (["search=grid", *SPACE], "a grid needs values to go through"),
        (["search=tpe", "search.storage=postgresql://me:secret@host/db", *SPACE], "a URL with a password"),
    ],
)
def test_wrong_commands(lines: list[str], message: str) -> None:
    with pytest.raises(InputError) as raised:
        find(lines)
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_space_is_kept_with_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n# Mine.\ndefaults:\n  - override /search: random\n"
        "search:\n  trials: 9\n  space:\n"
        "    optimizer.lr: tag(log, interval(1e-4, 1e-2))\n    model.dropout: [0, 0.5]\n"
    )
    search = find(["experiment=mine", "model.dropout=0.1"], str(tmp_path))
    assert search is not None
    assert search.question.space.described() == {"optimizer.lr": "log interval(0.0001, 0.01)"}
    assert search.question.total == 9
    (spec,) = islice(search.specs(), 1)
    assert values(spec)["model.dropout"] == "0.1"
    search.close()


class Batches:
    """A launcher that knows no more than Hydra asks of one."""

    def __init__(self, run: Callable[[Spec], Ending]) -> None:
        self.run, self.sizes = run, list[int]()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[SimpleNamespace]:
        self.sizes.append(len(job_overrides))
        jobs = enumerate(tuple(line.lstrip("+") for line in lines) for lines in job_overrides)
        specs = [Spec(initial_job_idx + k, lines, None, "", "") for k, lines in jobs]
        return [SimpleNamespace(return_value=self.run(spec)) for spec in specs]


def test_it_is_a_hydra_sweeper(tmp_path: Path) -> None:
    def run(spec: Spec) -> Ending:
        out = tmp_path / "runs" / "x" / str(spec.number)
        out.mkdir(parents=True)
        objective = {"name": "val/auroc", "value": float(values(spec)["model.dropout"])}
        (out / "scores.json").write_text(json.dumps({"epoch": 1, "objective": objective}))
        return Ending(spec.number, "done", str(out))

    sweeper = instantiate(compose(["search=random", "search.trials=10"]).sweep.search)
    assert isinstance(sweeper, Sweeper)
    sweeper.launcher = Batches(run)
    endings = sweeper.sweep([f"outputs={tmp_path}", "model.dropout=interval(0,0.5)"])
    assert [ending.number for ending in endings] == list(range(10))
    assert sweeper.launcher.sizes == [4, 4, 2]


def test_owner_is_gone_with_its_lock(tmp_path: Path) -> None:
    one, other = Owner(tmp_path), Owner(tmp_path)
    one.hold()
    assert not other.is_gone(one.name)
    one.release()
    assert other.is_gone(one.name)
    place = other.name.split("/")[1]
    assert not other.is_gone(f"another-machine/{place}/0123456789ab")
    assert not other.is_gone(other.name)


def test_an_owner_with_another_folder_of_runs_counts_as_alive(tmp_path: Path) -> None:
    one, other = Owner(tmp_path / "ours"), Owner(tmp_path / "theirs")
    one.hold()
    assert not other.is_gone(one.name)
    one.release()


@pytest.mark.parametrize("machine", ["the-same", "another-container"])
def test_all_that_a_killed_search_had_in_hand_is_taken_over(
    machine: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "the-same")
    killed = make(total=3)
    in_hand = {spec.overrides for spec in islice(killed.specs(), 3)}
    owner = killed.trials._owner
    assert owner._lock is not None
    owner._lock.__exit__(None, None, None)  # as the kernel does; nothing is tidied up
    owner._lock = None
    monkeypatch.setattr(socket, "gethostname", lambda: machine)
    looking = make(total=3)
    assert looking.elsewhere() == 0
    assert looking.elsewhere() == 0, "looking changes nothing"
    assert {spec.overrides for spec in islice(make(total=3).specs(), 3)} == in_hand
    assert not owner._path(owner.name).exists()


def test_a_run_whose_objective_is_no_number_counts_as_failed(make: Make) -> None:
    search = make(total=2)
    first, second = islice(search.specs(), 2)
    out = search.question.outputs / "runs" / "x" / "0"
    out.mkdir(parents=True)
    scores = {"epoch": 1, "objective": {"name": "val/loss", "value": None}, "scores": {}, "subjects": 9}
    (out / "scores.json").write_text(json.dumps(scores))
    judged = search.ended(Ending(first.number, "done", str(out)))
    assert (judged.state, judged.message) == ("failed", "a search needs finite objectives, got val/loss nan")
    assert search.ended(Ending(second.number, "elsewhere")).state == "elsewhere"
    assert states(search) == [TrialState.FAIL, TrialState.RUNNING]


def test_what_a_search_lets_go_of_goes_on_on_another_machine(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(total=2)
    stopped, held = islice(first.specs(), 2)
    end(first, held)
    monkeypatch.setattr(socket, "gethostname", lambda: "another-machine")
    second = make(total=2)
    assert list(second.specs()) == []
    assert second.elsewhere() == 1
    second.close()
    first.close()
    third = make(total=2)
    assert [spec.overrides for spec in complete(third)] == [stopped.overrides]
    assert third.elsewhere() == 0


@pytest.mark.parametrize(
    ("sampler", "at_once", "said"), [("tpe", 50, True), ("tpe", 25, False), ("random", 50, False), ("tpe", 4, False)]
)
def test_too_many_at_once_to_learn_from(sampler: str, at_once: int, said: bool, make: Make) -> None:
    remark = make(sampler=sampler, total=50).remark(at_once)
    assert ("50 of 50 trials are proposed before any has ended" in remark) == said
    assert ("launcher.at_once=5 lets it learn" in remark) == said


def test_settings_alike_in_three_digits_stay_apart(make: Make) -> None:
    search = make("optimizer.lr=0.0034211,0.0034212,0.2", sampler="grid", total=3)
    complete(search)
    titles = [title for title, _, _ in search.finished()]
    assert sorted(titles) == ["lr=0.0034211", "lr=0.0034212", "lr=0.2"]


@pytest.mark.slow
def test_importance_is_of_what_makes_a_trial_good(make: Make) -> None:
    found = {}
    for name, sign in (("val/loss", 1.0), ("val/auroc", -1.0)):
        search = make(total=40, objectives=(name,), name=name)
        for spec in search.specs():
            given = values(spec)
            lr, dropout = math.log10(float(given["optimizer.lr"])), float(given["model.dropout"])
            bad = lr > -3  # among these only the dropout matters; among the good ones only the rate
            search.trials.tell(spec.number, [sign * (10 + dropout if bad else abs(lr + 4))])
        found[name] = _importances(search.trials.study, search.question, {key: key for key in search.keys})[name]
    assert found["val/auroc"] == pytest.approx(found["val/loss"])
    assert found["val/auroc"]["optimizer.lr"] > 0.5


@pytest.mark.slow
def test_a_search_over_other_labels_is_another_one(tmp_path: Path) -> None:
    Image.new("L", (32, 32)).save(tmp_path / "a.png")
    names = set()
    for label in ("yes", "no", "yes"):
        rows = [f"a.png,{text},{number}" for number, text in enumerate((label, "yes", "no", "yes", "no"))]
        (tmp_path / "cases.csv").write_text("\n".join(["path,label,subject", *rows]))
        lines = ["search=random", f"outputs={tmp_path}", "data=table", f"data.source.path={tmp_path}/cases.csv", *SPACE]
        search = find([*lines, "data.source.channels=1", "data.source.size=[32,32]"])
        assert search is not None
        names.add(search.question.name)
    assert len(names) == 2


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A switch: while `away` is set, no database answers; it is asked again at once."""
    for pause in ("FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(outage, pause, 0.0)
    switch = SimpleNamespace(away=False)

    def refuse(*_: object) -> None:
        if switch.away:
            raise OperationalError("SELECT", {}, Exception("server closed the connection unexpectedly"))

    event.listen(Engine, "before_cursor_execute", refuse)
    yield switch
    event.remove(Engine, "before_cursor_execute", refuse)


def test_an_outage_of_the_database_costs_nothing(
    make: Make, database: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    search = make(total=4)
    specs = search.specs()
    one, two = islice(specs, 2)
    assert one is not None
    assert two is not None
    database.away = True
    try:
        raise EOFError  # as where the end of a process is noticed
    except EOFError:
        end(search, one)
    assert next(specs) is None, "there is none for now"
    end(search, two, "failed")
    assert next(specs) is None
    database.away = False
    three, four = islice(specs, 2)
    assert three is not None
    assert four is not None
    assert states(search) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING]
    assert list(specs) == []
    database.away = True
    end(search, three)
    end(search, four)
    database.away = False
    search.settle()
    assert states(search) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4
    assert "search.db does not answer: Exception: server closed the connection" in said[0]
    assert said[1] == "the database of the search answers again"


@pytest.mark.parametrize(("when", "call"), [("one is made", 1), ("some are taken over", 2)])
def test_a_trial_that_an_outage_cut_off_is_run(
    when: str, call: int, make: Make, database: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    if when == "some are taken over":
        first = make(total=3)
        assert len(list(islice(first.specs(), 3))) == 3
        first.close()
    search = make(total=3)
    kept, calls = search.trials._storage, 0
    set_attribute = kept.set_trial_user_attr

    def go_away(*given: Any) -> None:
        nonlocal calls
        calls += 1
        database.away = calls == call
        set_attribute(*given)

    monkeypatch.setattr(kept, "set_trial_user_attr", go_away)
    done = []
    for spec in search.specs():
        database.away = False
        if spec is not None:
            end(search, spec)
            done.append(spec.number)
    assert sorted(done) == [0, 1, 2]
    assert states(search) == [TrialState.COMPLETE] * 3


def test_a_database_that_stays_away_ends_the_search_and_the_next_finds_it_all(
    make: Make, database: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "PATIENCE_SECONDS", 0.0)
    first = make(total=3)
    specs = first.specs()
    one, two = islice(specs, 2)
    assert one is not None
    assert two is not None
    database.away = True
    end(first, one)
    assert next(specs) is None, "one is still running"
    end(first, two)
    with pytest.raises(AwayError, match=r"the same command goes on .* what came of 2 trials"):
        next(specs)
    with pytest.raises(AwayError, match="does not answer"):
        first.settle()
    first.close()
    database.away = False
    second = make(total=3)
    assert [(spec.number, spec.overrides) for spec in complete(second)][:2] == [
        (one.number, one.overrides),
        (two.number, two.overrides),
    ]
    assert states(second) == [TrialState.COMPLETE] * 3


def test_a_database_is_asked_once_more_before_it_counts_as_away(
    make: Make, database: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(outage, "FIRST_PAUSE", 1000.0)
    search = make(total=2)
    specs = search.specs()
    for _ in range(2):
        spec = next(specs)
        assert spec is not None
        database.away = True
        end(search, spec)
        database.away = False
    search.settle()
    assert states(search) == [TrialState.COMPLETE] * 2


def test_a_sweep_whose_database_stays_away_shows_what_failed(
    tmp_path: Path, database: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Launcher:
        def slots(self, num_jobs: int | None) -> list[dict[str, str]]:
            return [{}]

        def stream(self, jobs: Iterator[Spec], watch: Any, *, sweep: Path, num_jobs: int) -> None:
            spec = next(jobs)
            watch.started(spec)
            database.away = True
            watch.ended(Ending(spec.number, "failed", message="it broke"))
            next(jobs)

    monkeypatch.setattr(outage, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(sweeping, "launcher_of", lambda jobs: Launcher())
    search = find(["search=random", "tracking=none", f"outputs={tmp_path}", SPACE[0]])
    assert search is not None
    with pytest.raises(AwayError, match="what came of 1 trial"):
        sweeping.sweep(search)
    assert "it broke" in capsys.readouterr().err.partition("no summary for now")[2]
    database.away = False
    search.close()


def test_a_batch_is_not_kept_waiting_by_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "TICK_SECONDS", 0.0)
    one, two, three = (Spec(number, (), None, "", "") for number in range(3))
    assert list(sweeper._batches(iter([None, one, None, None, two, three]), 2)) == [[one], [two, three]]


@pytest.mark.parametrize(
    ("url", "limits"),
    [
        ("postgresql+psycopg://host/db", {"connect_timeout": 5, "tcp_user_timeout": 30_000}),
        ("postgresql+psycopg://host/db?connect_timeout=60", {"tcp_user_timeout": 30_000}),
        ("mysql+pymysql://host/db", {}),
    ],
)
def test_a_server_that_does_not_answer_is_not_waited_for_long(url: str, limits: dict[str, int]) -> None:
    assert storage._of_server(url) == {"pool_pre_ping": True, "connect_args": limits}


def test_pruned_trials_are_told_as_such(make: Make) -> None:
    search = make(total=2, pruner="median")
    for spec in search.specs():
        assert spec.pruning is not None
        assert spec.pruning.study == "study"
        end(search, spec, "pruned")
    assert states(search) == [TrialState.PRUNED] * 2
    assert len(search) == 0
