"""Runs console commands in forks of a process that has imported all that they need.

A program of its own, not a module: takes connections, several at a time. Each brings one line of
JSON and the file that takes what the command says, and is answered with the number of the process
that runs it, and with its exit status. That process is one as any other, but for the seconds that a
fresh one spends on importing PyTorch and nnU-Net, and nnU-Net's pools, whose workers would spend
them once more, are forked from it too. And nnU-Net's epochs have two steps, not 250, and its
fingerprints few draws.
"""

import functools
import importlib
import importlib.metadata
import json
import multiprocessing
import os
import select
import socket
import sys
from collections.abc import Callable

import torch
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

IMPORTED = (
    "nnunetv2.run.run_training",
    "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints",
    "nnunetv2.inference.predict_from_raw_data",
    "nnunetv2_pcrl.trainers",
)


def request_of_a_fork(listening: socket.socket) -> dict:
    """Serves requests until standard input ends; returns in the forks that run a command only."""
    while True:
        ready, _, _ = select.select([listening, 0], [], [])
        if listening not in ready:
            sys.exit()
        connection, _ = listening.accept()
        # The one that waits for the command, so that others can be served.
        if os.fork() == 0:
            listening.close()
            return answered_request(connection)
        connection.close()


def answered_request(connection: socket.socket) -> dict:
    """Answers a request when its command has ended; returns in the fork that runs it only."""
    text, (output,), _, _ = socket.recv_fds(connection, 1, 1)
    request = json.loads(text + connection.makefile("rb").readline())
    process = os.fork()
    if process == 0:
        connection.close()
        return {**request, "output": output}
    connection.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(request: dict) -> None:
    """Takes output, folder, arguments and environment of the command."""
    for stream in (1, 2):
        os.dup2(request["output"], stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["folder"])
    sys.argv = request["argv"]
    os.environ.clear()
    os.environ.update(request["environment"])
    # As at the end of `import torch`.
    for entry_point in importlib.metadata.entry_points(group="torch.backends"):
        entry_point.load()()
    multiprocessing.get_context = lambda method=None: multiprocessing.context.ForkContext()
    # nnU-Net takes all cores, which other tests want, and threads would not live on in forks.
    torch.set_num_threads(1)
    torch.set_num_threads = lambda number: None
    shorten_epochs()
    sample_few_voxels()


def shorten_epochs() -> None:
    """What nnU-Net says of the length of an epoch; trainers with settings of their own go first."""
    initialise = nnUNetTrainer.__init__

    # nnU-Net stores its arguments by the names of the signature.
    @functools.wraps(initialise)
    def initialise_short(trainer, *args, **kwargs):
        initialise(trainer, *args, **kwargs)
        trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 2, 1

    nnUNetTrainer.__init__ = initialise_short


def sample_few_voxels() -> None:
    """A fingerprint is of a hundred million drawn voxels, however few there are: half a minute."""
    initialise = DatasetFingerprintExtractor.__init__

    def initialise_quick(extractor, *args, **kwargs):
        initialise(extractor, *args, **kwargs)
        extractor.num_foreground_voxels_for_intensitystats = 1e5

    DatasetFingerprintExtractor.__init__ = initialise_quick


def function_of(command: str) -> Callable[[], object]:
    """What a console script calls, or the main of a module of this package's commands."""
    if command.startswith("nnunetv2_pcrl."):
        return importlib.import_module(command).main
    (entry_point,) = importlib.metadata.entry_points(group="console_scripts", name=command)
    return entry_point.load()


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    request = request_of_a_fork(socket.socket(fileno=int(sys.argv[1])))
    become(request)
    sys.exit(function_of(sys.argv[0])())
