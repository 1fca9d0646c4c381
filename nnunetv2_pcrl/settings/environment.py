"""Environment variables, which nnU-Net reads whenever it needs them, for a while."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# How many workers nnU-Net's trainings have, and how many threads its planning.
WORKERS_VARIABLE = "nnUNet_n_proc_DA"


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
