"""Stands in for nnUNetv2_train: leaves the files of a training within milliseconds."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.experiments.planned_run import PlannedRun
from nnunetv2_pcrl.experiments.runs import TrainingRun
from nnunetv2_pcrl.experiments.states import weights_file
from nnunetv2_pcrl.label_folds.table import LabelFold

DATASET = "Dataset999_Fake"
CONFIGURATION = "2d"

# Reads what to do from behaviour.json beside it: by "TRAINER FOLD", "fail", "wait", "stay"
# (whatever signals come), "environment" (leaves it in a file) or "nothing".
_SCRIPT = """#!{python} -IS
import json, os, signal, sys, time
here = os.path.dirname(os.path.realpath(__file__))
dataset, configuration, fold = sys.argv[1:4]
trainer, plans = (sys.argv[sys.argv.index(option) + 1] for option in ("-tr", "-p"))
name = trainer + " " + fold
def note(event):
    line = json.dumps([event, name, sys.argv[1:], os.environ.get("nnUNet_pcrl_weights")])
    with open(os.path.join(here, "calls"), "a") as file:
        file.write(line + "\\n")
note("begin")
with open(os.path.join(here, "behaviour.json")) as file:
    behaviour = json.load(file).get(name)
folder = os.path.join(os.environ["nnUNet_results"], dataset,
                      "__".join([trainer, plans, configuration]), "fold_" + fold)
os.makedirs(os.path.join(folder, "validation"), exist_ok=True)
def write(*names):
    for name in names:
        open(os.path.join(folder, name), "w").close()
def stop(*_):
    write("checkpoint_latest.pth")
    note("stopped")
    sys.exit(143)
signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stay" else stop)
if "nnUNet_pcrl_weights" in os.environ:
    with open(os.path.join(folder, "transfer_report.json"), "w") as file:
        json.dump({{"weights": os.environ["nnUNet_pcrl_weights"]}}, file)
print("this is", name, flush=True)
if behaviour == "environment":
    with open(os.path.join(folder, "environment.json"), "w") as file:
        json.dump({{**os.environ, "cores": os.cpu_count()}}, file)
with open(os.path.join(here, "says " + name), "w"):
    pass
if behaviour in ("wait", "stay"):
    while not os.path.exists(os.path.join(here, "go on")):
        time.sleep(0.01)
if behaviour == "fail":
    print("the last line", flush=True)
    sys.exit(3)
if behaviour != "nothing":
    write("checkpoint_final.pth",
          "pretrained_weights.pth" if "Pretrain" in trainer else "validation/summary.json")
note("end")
"""


class FakeTraining:
    """The stand-in, first on PATH.

    Attributes:
        results: the data set's folder in nnUNet_results.
    """

    def __init__(self, root: Path, monkeypatch):
        self._folder = root / "bin"
        self._folder.mkdir()
        script = self._folder / "nnUNetv2_train"
        script.write_text(_SCRIPT.format(python=sys.executable))
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(self._folder), prepend=os.pathsep)
        monkeypatch.delenv("nnUNet_pcrl_weights", raising=False)
        self.results = root / "nnUNet_results" / DATASET
        self.behave()

    def behave(self, **by_name: str) -> None:
        """What trainings do that do not succeed at once, by trainer__fold."""
        names = {name.replace("__", " "): what for name, what in by_name.items()}
        (self._folder / "behaviour.json").write_text(json.dumps(names))

    def go_on(self) -> None:
        """Lets those that wait finish."""
        (self._folder / "go on").touch()

    def says(self, name: str) -> bool:
        """Whether "TRAINER FOLD" has begun and obeys signals."""
        return (self._folder / f"says {name}").exists()

    def is_training(self, command: Sequence[str]) -> bool:
        """Whether a command line is that of the stand-in itself, and not of what started it."""
        return str(self._folder / "nnUNetv2_train") in command

    def events(self) -> list[tuple[str, str]]:
        """Begin, end or stopped, and "TRAINER FOLD", in their order."""
        return [(event, name) for event, name, *_ in self._calls()]

    def arguments(self, name: str) -> list[tuple[list[str], str | None]]:
        """Arguments and weights of every start of a training."""
        return [tuple(rest) for event, n, *rest in self._calls() if (event, n) == ("begin", name)]

    def _calls(self) -> list[list]:
        path = self._folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def planned(trainer: str, fold: int, weights_of: TrainingRun | None = None) -> PlannedRun:
    """A training on a label fold of fold 0."""
    part = LabelFold(fold, 0, 5, 0.1, fold - 5)
    return PlannedRun(TrainingRun(trainer, "nnUNetPlans", CONFIGURATION, fold), weights_of, part)


def write_report(folder: Path, weights: Path) -> None:
    """Says in the folder of a fine-tuning what it started from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "transfer_report.json").write_text(json.dumps({"weights": str(weights)}))


def pretraining(fold: int | str = 0) -> PlannedRun:
    """A pretraining."""
    return PlannedRun(TrainingRun("PCRLv2PretrainTrainer", "nnUNetPlans", CONFIGURATION, fold))


def write_files(results: Path, run: PlannedRun, names: Sequence[str]) -> Path:
    """Puts empty files into the folder of a training, and a report of its weights; the folder."""
    folder = run.run.folder(results)
    if run.weights_of is not None:
        write_report(folder, weights_file(run.weights_of, results))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder
