"""The command of a training, to be run or to be printed for a shell."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.experiments.states import Job, State, start_of
from nnunetv2_pcrl.weights.file_names import WEIGHTS_VARIABLE

TRAIN_COMMAND = "nnUNetv2_train"
DEVICES = ("cuda", "cpu", "mps")


@dataclass(frozen=True)
class TrainingOptions:
    """What all trainings of an experiment on a data set share.

    Attributes:
        dataset_results: absolute path of the data set's folder in nnUNet_results.
        device: cuda, cpu or mps.
        num_gpus: of one training.
    """

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
    run, weights = job.planned.run, start_of(job.planned, options.dataset_results)
    arguments = [TRAIN_COMMAND, options.dataset_results.name, run.configuration, str(run.fold)]
    arguments += ["-tr", run.trainer, "-p", run.plans, "-device", options.device]
    if options.num_gpus != 1:
        arguments += ["-num_gpus", str(options.num_gpus)]
    if job.state.value:
        arguments.append(job.state.value)
    environment = {}
    # A training that goes on loads its checkpoint.
    if weights is not None and job.state is State.MISSING:
        environment[WEIGHTS_VARIABLE] = str(weights)
    return Command(tuple(arguments), environment)
