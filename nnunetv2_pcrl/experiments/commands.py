"""The command of a training, to be run or to be printed for a shell."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.experiments.runs import State, TrainingRun
from nnunetv2_pcrl.experiments.states import Job, start_of
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
    results = options.dataset_results
    more = ["-device", options.device]
    if options.num_gpus != 1:
        more += ["-num_gpus", str(options.num_gpus)]
    weights = start_of(job.planned, results)
    return training_command(results.name, job.planned.run, job.state, weights, more)


def training_command(
    dataset: str,
    run: TrainingRun,
    state: State,
    weights: Path | None = None,
    more: Sequence[str] = (),
) -> Command:
    """nnU-Net's own command for the rest of a training, which it would begin anew without a flag.

    Args:
        dataset: name.
        run: the training.
        state: how far it is.
        weights: that it starts from; one that goes on loads its checkpoint.
        more: options.
    """
    arguments = [TRAIN_COMMAND, dataset, run.configuration, str(run.fold)]
    arguments += ["-tr", run.trainer, "-p", run.plans, *more]
    if state.value:
        arguments.append(state.value)
    starts = weights is not None and state is State.MISSING
    return Command(tuple(arguments), {WEIGHTS_VARIABLE: str(weights)} if starts else {})
