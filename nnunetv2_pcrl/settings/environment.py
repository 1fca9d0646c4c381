"""Environment variables, which nnU-Net reads whenever it needs them, for a while."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# How many workers nnU-Net's trainings have, and how many threads its planning.
WORKERS_VARIABLE = "nnUNet_n_proc_DA"
# How many processes nnU-Net's preparation has, and a validation that writes and scores its cases.
PROCESSES_VARIABLE = "nnUNet_def_n_proc"


@contextmanager
def environment_with(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables such as nnUNet_raw, and sets them back at the end."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
