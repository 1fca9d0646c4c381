"""All trainers of the package by name: a method's, for a task, with variants.

<Method>PretrainTrainer, <Method>FinetuneTrainer, <Method>ClassificationTrainer and
<Method>NoduleTrainer, each followed by any _words of variants.
"""

import re
from functools import cache

from nnunetv2_pcrl.methods.registry import METHODS, method_named
from nnunetv2_pcrl.tasks.classification.trainer import ClassificationTrainer
from nnunetv2_pcrl.tasks.nodules.trainer import NoduleTrainer
from nnunetv2_pcrl.tasks.segmentation.finetune_trainer import FinetuneTrainer
from nnunetv2_pcrl.training.one_line_errors import install_in_commands
from nnunetv2_pcrl.training.pretrain_trainer import PretrainTrainer

BASES = {
    "Pretrain": PretrainTrainer,
    "Finetune": FinetuneTrainer,
    "Classification": ClassificationTrainer,
    "Nodule": NoduleTrainer,
}
_NAME = re.compile(rf"([A-Za-z0-9]+)({'|'.join(BASES)})Trainer((?:_\w+)*)")


def __getattr__(name: str) -> type:
    """The trainer of that name.

    Raises:
        AttributeError: if no trainer has that name.
    """
    # nnU-Net's commands come here first, before they read plans.
    install_in_commands()
    trainer = trainer_named(name)
    if trainer is None:
        raise AttributeError(f"there is no trainer {name}")
    return trainer


@cache
def trainer_named(name: str) -> type | None:
    """The trainer of that name, the same class at every call; None if there is none."""
    match = _NAME.fullmatch(name)
    method = method_named(match[1]) if match else None
    if match is None or method is None:
        return None
    words = tuple(match[3].split("_")[1:])
    if len(set(words)) < len(words):
        return None
    return BASES[match[2]].named(name, method, words)


def trainer_names() -> list[str]:
    """Every trainer without variants."""
    return [f"{method.about.name}{role}Trainer" for method in METHODS for role in BASES]
