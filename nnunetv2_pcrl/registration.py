"""Makes nnU-Net find the trainers.

Runs inside `import torch`, so it imports neither torch nor nnunetv2.
"""

import os

EXTERNAL_TRAINERS_VARIABLE = "nnUNet_extTrainer"


def trainer_folder() -> str:
    """Absolute path of the folder whose single module re-exports the trainers."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "nnunet_ext")


def register() -> None:
    """Appends our trainer folder to nnU-Net's `nnUNet_extTrainer`, keeping what the user had set.

    PyTorch calls this entry point (group `torch.backends`) at the end of `import torch`, which
    nnU-Net does before it looks for trainers. Child processes inherit the variable. Calling it
    again changes nothing. It never raises, because an error here would make `import torch` fail.
    """
    folder = trainer_folder()
    known = os.environ.get(EXTERNAL_TRAINERS_VARIABLE, "")
    if folder in known.split(os.pathsep):
        return
    os.environ[EXTERNAL_TRAINERS_VARIABLE] = f"{known}{os.pathsep}{folder}" if known else folder
