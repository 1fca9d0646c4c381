"""What evaluates a finished experiment."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.experiments.planning import Experiment
from nnunetv2_pcrl.experiments.request import ExperimentRequest
from nnunetv2_pcrl.experiments.seeds import split_seed


def compare_command(
    requests: Sequence[ExperimentRequest], experiments: Sequence[Experiment], folder: Path
) -> str:
    """The command for a shell.

    Args:
        requests: one per data set.
        experiments: what they came to.
        folder: to write the comparison into.
    """
    first = requests[0]
    command = ["nnUNetv2_pcrl_compare", "-d", *(request.dataset for request in requests)]
    command += ["-c", first.configuration, "-p", first.plans_name]
    trainers = [trainer for experiment in experiments for trainer in experiment.trainers]
    # Without a twin among these, it may find one among earlier results.
    if any(trainer.pretraining is None for trainer in trainers):
        names = dict.fromkeys(split_seed(trainer.name)[0] for trainer in trainers)
        command += ["--trainers", *names]
    # What the experiment leaves out is not missing.
    for option, numbers in (("--cases", first.cases), ("--folds", first.folds)):
        command += [option, *map(str, numbers)] if numbers else []
    if first.num_repeats is not None:
        command += ["--repeats", str(first.num_repeats)]
    return shlex.join([*command, "-o", str(folder)])
