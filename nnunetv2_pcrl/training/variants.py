"""Trainer variants by name, as nnU-Net has them: `PCRLv2PretrainTrainer_100epochs` and the like."""

import re

from nnunetv2_pcrl.training.finetune_trainer import PCRLv2FinetuneTrainer
from nnunetv2_pcrl.training.pretrain_trainer import PCRLv2PretrainTrainer

_BASES = {base.__name__: base for base in (PCRLv2PretrainTrainer, PCRLv2FinetuneTrainer)}
_NAME = re.compile(r"(?P<base>\w+?)_(?P<epochs>[1-9]\d*)epochs?")


def __getattr__(name: str) -> type:
    """The variant of that name, for any number of epochs.

    Raises:
        AttributeError: if the name is not that of a variant.
    """
    match = _NAME.fullmatch(name)
    base = _BASES.get(match["base"]) if match else None
    if base is None:
        raise AttributeError(f"there is no trainer variant {name}")
    return type(name, (base,), base.variant_of_length(int(match["epochs"])))
