"""Trainer variants by name, as nnU-Net has them: `PCRLv2PretrainTrainer_100epochs` and the like."""

import re

from nnunetv2_pcrl.tasks.segmentation.finetune_trainer import PCRLv2FinetuneTrainer
from nnunetv2_pcrl.training.pretrain_trainer import PCRLv2PretrainTrainer

_BASES = {base.__name__: base for base in (PCRLv2PretrainTrainer, PCRLv2FinetuneTrainer)}
_EPOCHS = re.compile(r"([1-9]\d*)epochs?")


def __getattr__(name: str) -> type:
    """The variant of that name: a number of epochs, other variants of the base, or several.

    Raises:
        AttributeError: if the name is not that of a variant.
    """
    base_name, *words = name.split("_")
    variant = _BASES.get(base_name)
    for word in words:
        variant = variant and _variant(variant, word, name)
    if variant is None or not words:
        raise AttributeError(f"there is no trainer variant {name}")
    return variant


def _variant(base: type, word: str, name: str) -> type | None:
    if match := _EPOCHS.fullmatch(word):
        attributes = base.variant_of_length(int(match[1]))
    else:
        attributes = base.variant_of_word(word)
    return attributes and type(name, (base,), attributes)
