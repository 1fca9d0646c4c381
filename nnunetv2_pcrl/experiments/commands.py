"""The commands of an experiment, to be run or to be printed for a shell."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.experiments.request import ExperimentRequest
from nnunetv2_pcrl.experiments.states import Job, State, weights_file
from nnunetv2_pcrl.experiments.trainers import Trainer
from nnunetv2_pcrl.training.results import WEIGHTS_VARIABLE

TRAIN_COMMAND = "nnUNetv2_train"


@dataclass(frozen=True)
class TrainingOptions:
    """What all trainings of an experiment share.

    Attributes:
        dataset: number or name.
        dataset_results: absolute path of the data set's folder in nnUNet_results.
        device: cuda, cpu or mps.
        num_gpus: of one training.
    """

    dataset: str
    dataset_results: Path
    device: str = "cuda"
    num_gpus: int = 1


@dataclass(frozen=True)
class Command:
    """A command and the environment variables that it needs beside those that are set.

    Attributes:
        arguments: program first.
        environment: values by name.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    def for_shell(self) -> str:
        """One line for a POSIX shell."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(self.arguments)])


def command_of(job: Job, options: TrainingOptions) -> Command:
    """nnU-Net's own command for what is left of a training."""
    run, weights_of = job.planned.run, job.planned.weights_of
    arguments = [TRAIN_COMMAND, options.dataset, run.configuration, str(run.fold)]
    arguments += ["-tr", run.trainer, "-p", run.plans, "-device", options.device]
    if options.num_gpus != 1:
        arguments += ["-num_gpus", str(options.num_gpus)]
    if job.state.value:
        arguments.append(job.state.value)
    environment = {}
    # A training that goes on loads its checkpoint.
    if weights_of is not None and job.state is State.MISSING:
        environment[WEIGHTS_VARIABLE] = str(weights_file(weights_of, options.dataset_results))
    return Command(tuple(arguments), environment)


def compare_command(request: ExperimentRequest, trainers: Sequence[Trainer]) -> str:
    """What evaluates the finished experiment, for a shell.

    Args:
        request: of the experiment.
        trainers: with their full names.
    """
    command = ["nnUNetv2_pcrl_compare", "-d", request.dataset]
    command += ["-c", request.configuration, "-p", request.plans_name]
    # Without a twin among these, it may find one among earlier results.
    if any(trainer.pretraining is None for trainer in trainers):
        command += ["--trainers", *(trainer.name for trainer in trainers)]
    if request.cases:
        command += ["--cases", *map(str, request.cases)]
    return shlex.join(command)
