"""Generated and real data sets, planned and preprocessed by nnU-Net's own commands."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from commands import ENVIRONMENT, run_forked, run_fresh
from filelock import FileLock
from generate_data import generate_dataset
from shrink_plans import shrink_plans

PLANS = "nnUNetPlansSmall"
SETTINGS = {"batch_size": 4, "num_iterations_per_epoch": 2, "num_val_iterations_per_epoch": 1}
SHORT_TRAINERS = """
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2_pcrl.trainers import MAEFinetuneTrainer, PCRLv2FinetuneTrainer

class Short:
    def on_train_start(self):
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 2, 1
        super().on_train_start()

class ShortTrainer(Short, nnUNetTrainer):
    pass

class ShortFinetuneTrainer(Short, PCRLv2FinetuneTrainer):
    pass

class ShortMAEFinetuneTrainer(Short, MAEFinetuneTrainer):
    pass
"""
SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


class Experiment:
    """nnU-Net's three folders and a way to run its commands on them."""

    def __init__(self, root: Path):
        self.raw, self.preprocessed, self.results = (
            root / name for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
        )
        self.environment = {
            **os.environ,
            "nnUNet_raw": str(self.raw),
            "nnUNet_preprocessed": str(self.preprocessed),
            "nnUNet_results": str(self.results),
            **ENVIRONMENT,
        }
        # Trainings of two steps, in a folder that a user names beside ours.
        trainers = root / "trainers"
        trainers.mkdir(exist_ok=True)
        (trainers / "short_trainers.py").write_text(SHORT_TRAINERS)
        self.environment["nnUNet_extTrainer"] = str(trainers)
        self.environment.pop("nnUNet_pcrl_weights", None)
        for folder in (self.raw, self.preprocessed, self.results):
            folder.mkdir(exist_ok=True)

    def run(self, command: str, *arguments, check: bool = True, fresh: bool = False) -> str:
        """Runs a console command of this environment; its output. Fails with it if it fails.

        Args:
            command: name of the console script.
            arguments: of the command.
            check: whether it must end well.
            fresh: whether to import everything anew, as on a user's machine, which takes seconds.
        """
        given = list(map(str, arguments))
        if fresh:
            path = Path(sys.executable).parent / command
            status, output = run_fresh([str(path), *given], self.environment)
        else:
            # Workers would make batches in advance that nobody wants; planning asks for one.
            is_training = command in ("nnUNetv2_train", "torchrun")
            workers = {"nnUNet_n_proc_DA": "0"} if is_training else {}
            status, output = run_forked(command, given, self.environment | workers)
        assert status == 0 or not check, output[-6000:]
        return output

    def run_ours(self, name: str, *arguments) -> str:
        """Runs a command of this package, also where its console scripts are not installed."""
        return self.run(f"nnunetv2_pcrl.cli.{name}", *arguments)

    def train(self, dataset: int, configuration: str, fold, trainer: str, *more, **kwargs) -> str:
        """nnUNetv2_train on the CPU with the small plans; in a fresh process, with a worker too."""
        command = (dataset, configuration, fold, "-tr", trainer, "-p", PLANS, "-device", "cpu")
        return self.run("nnUNetv2_train", *command, *more, **kwargs)

    def prepare(self, *datasets: int) -> None:
        """Plans and preprocesses raw data sets and derives small plans."""
        command = ("-c", "3d_fullres", "2d", "-np", 1, 1, "-npfp", 1)
        self.run("nnUNetv2_plan_and_preprocess", "-d", *datasets, *command)
        for dataset in datasets:
            self.shrink(dataset, "nnUNetPlans")

    def shrink(self, dataset: int, plans_name: str, **settings) -> None:
        """Writes small plans beside those of a prepared data set."""
        (folder,) = self.preprocessed.glob(f"Dataset{dataset:03d}_*")
        plans = json.loads((folder / f"{plans_name}.json").read_text())
        sections = {"pretraining": {**SETTINGS, **settings}, "pcrlv2": {"num_local": 2}}
        small = shrink_plans(plans, PLANS, 4, 8, 24, 2, sections)
        (folder / f"{PLANS}.json").write_text(json.dumps(small))

    def result(self, dataset: str, trainer: str, configuration: str, fold) -> Path:
        """Result folder of a training."""
        return self.results / dataset / f"{trainer}__{PLANS}__{configuration}" / f"fold_{fold}"


@pytest.fixture
def experiment(tmp_path) -> Experiment:
    """Empty folders."""
    return Experiment(tmp_path)


@pytest.fixture
def shared_data():
    """Gives a folder of the real images; skips where it is absent."""

    def find(name: str) -> Path:
        if not (SHARED_DATA / name).is_dir():
            pytest.skip(f"the real images are not in {SHARED_DATA}")
        return SHARED_DATA / name

    return find


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> Experiment:
    """A CT set (901) and a four-channel MR set (902), generated, planned and preprocessed.

    Processes of one run of the tests share them: the first that asks prepares them.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "generated"
    with FileLock(root.with_suffix(".lock")):
        is_new = not root.exists()
        root.mkdir(exist_ok=True)
        experiment = Experiment(root)
        if is_new:
            for kind, number, name in (("ct", 901, "DemoCT"), ("mr", 902, "DemoMR")):
                generate_dataset(kind, experiment.raw, number, name, 5, 1, (14, 24, 24), 0)
            experiment.prepare(901, 902)
    return experiment


@pytest.fixture(scope="session")
def real(tmp_path_factory) -> Experiment:
    """The small real data sets, planned and preprocessed; skips where they are absent."""
    names = ("Dataset009_SpleenCrop", "Dataset060_MSLesion2mm")
    if not all((SHARED_DATA / name).is_dir() for name in names):
        pytest.skip(f"the real images are not in {SHARED_DATA}")
    experiment = Experiment(tmp_path_factory.mktemp("real"))
    for name in names:
        shutil.copytree(SHARED_DATA / name, experiment.raw / name)
    experiment.prepare(9, 60)
    return experiment
