"""The commands of an experiment that are left, for a shell to run them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nnunetv2_pcrl.experiments.commands import TrainingOptions, command_of
from nnunetv2_pcrl.experiments.grid import PlannedRun
from nnunetv2_pcrl.experiments.locks import RunLock
from nnunetv2_pcrl.experiments.states import jobs_left


@dataclass
class CommandsLeft:
    """Lines for a POSIX shell.

    Attributes:
        pretrainings: from whose weights others start, so that they come first.
        others: all other trainings.
        elsewhere: trainings that another experiment runs, and who.
    """

    pretrainings: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    elsewhere: dict[PlannedRun, str] = field(default_factory=dict)


def commands_left(grid: Sequence[PlannedRun], options: TrainingOptions) -> CommandsLeft:
    """Commands of what is not finished and nobody runs, in the order of the grid."""
    left = CommandsLeft()
    for job in jobs_left(grid, options.dataset_results):
        lock = RunLock(job.planned.run, options.dataset_results)
        if lock.is_held_elsewhere():
            left.elsewhere[job.planned] = lock.holder()
        else:
            lines = left.pretrainings if job.planned.is_pretraining else left.others
            lines.append(command_of(job, options).for_shell())
    return left
