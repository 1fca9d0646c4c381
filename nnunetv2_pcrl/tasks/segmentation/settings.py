"""Settings of fine-tuning, taken from the plans file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nnunetv2_pcrl.methods.settings import rate_of_word
from nnunetv2_pcrl.weights.transfer import TRANSFER_MODES

COUNTS = ("warmup_new_epochs", "warmup_epochs", "freeze_encoder_epochs")


@dataclass(frozen=True)
class FinetuneSettings:
    """What PCRLv2FinetuneTrainer reads from the plans file.

    Attributes:
        from_scratch: start from no weights: the twin that tells weights and schedule apart.
        weights: path of the weights to start from; None searches for them.
        transductive: take weights of fold all only, which has seen the images (not the labels)
            that the fold validates on; for results that are to be told apart.
        transfer: which part of them is loaded, one of `TRANSFER_MODES`.
        other_dimension: whether weights of a 2D network may start a 3D one and the other way.
        finetune_lr: initial learning rate; None is nnU-Net's own.
        warmup_new_epochs: epochs in which only the heads learn, and the decoder where `transfer`
            leaves it out.
        warmup_epochs: epochs after these in which the rate of the whole network rises.
        freeze_encoder_epochs: epochs, from the first one, in which the encoder stays as loaded.
    """

    from_scratch: bool = False
    weights: str | None = None
    transductive: bool = False
    transfer: str = "encoder"
    other_dimension: bool = False
    finetune_lr: float | None = None
    warmup_new_epochs: int = 0
    warmup_epochs: int = 0
    freeze_encoder_epochs: int = 0

    @classmethod
    def names(cls) -> set[str]:
        """Names of all settings."""
        return {field.name for field in fields(cls)}

    @property
    def has_own_schedule(self) -> bool:
        """Whether the learning rates differ from nnU-Net's in more than the initial one."""
        return any(getattr(self, name) for name in COUNTS)

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> "FinetuneSettings":
        """Picks its own settings from the `"pcrlv2"` section.

        Raises:
            ValueError: if a value does not fit.
        """
        settings = cls(**{k: v for k, v in section.items() if k in cls.names()})
        if settings.transfer not in TRANSFER_MODES:
            raise ValueError(
                f'"transfer" must be one of {", ".join(TRANSFER_MODES)}, got {settings.transfer!r}'
            )
        if settings.weights is not None and not isinstance(settings.weights, str):
            raise ValueError(f'"weights" must be the path of a file, got {settings.weights!r}')
        for name in ("from_scratch", "transductive", "other_dimension"):
            value = getattr(settings, name)
            if not isinstance(value, bool):
                raise ValueError(f'"{name}" must be true or false, got {value!r}')
        rate = settings.finetune_lr
        if rate is not None and (
            isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1
        ):
            raise ValueError(f'"finetune_lr" must be above 0 and at most 1, got {rate!r}')
        for name in COUNTS:
            value = getattr(settings, name)
            if type(value) is not int or value < 0:
                raise ValueError(f'"{name}" must be a whole number of epochs, got {value!r}')
        return settings


def settings_of_variant(word: str) -> dict[str, Any] | None:
    """Settings of a trainer variant by the last part of its name; None if there is no such one.

    `encoder`, `heSkip` and `zeroSkip` say what is loaded, `warmup10` warms the new parts up for 10
    epochs and the whole network for 10 more, `frozen10` keeps the encoder for 10 epochs, `lr1en3`
    is an initial learning rate of 1e-3 (nnU-Net's way to write it). `fromScratch` starts from no
    weights, `transductive` from those of fold all.
    """
    transfers = dict(zip(("encoder", "heSkip", "zeroSkip"), TRANSFER_MODES, strict=True))
    if word in transfers:
        return {"transfer": transfers[word]}
    if word == "fromScratch":
        return {"from_scratch": True}
    if word == "transductive":
        return {"transductive": True}
    if match := re.fullmatch(r"warmup([1-9]\d*)", word):
        return {"warmup_new_epochs": int(match[1]), "warmup_epochs": int(match[1])}
    if match := re.fullmatch(r"frozen([1-9]\d*)", word):
        return {"freeze_encoder_epochs": int(match[1])}
    rate = rate_of_word(word)
    return None if rate is None else {"finetune_lr": rate}
