"""Points nnU-Net's folders elsewhere for a while."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nnunet_folders_at(folders: Mapping[str, Path]) -> Iterator[None]:
    """Sets environment variables such as nnUNet_raw, and sets them back at the end."""
    before = {name: os.environ.get(name) for name in folders}
    os.environ.update({name: str(folder) for name, folder in folders.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
