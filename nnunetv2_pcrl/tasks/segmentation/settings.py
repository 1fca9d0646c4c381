"""Settings of fine-tuning, taken from the plans file and from trainers' names."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from nnunetv2_pcrl.methods.registry import METHOD_SECTIONS
from nnunetv2_pcrl.methods.settings import rate_of_word
from nnunetv2_pcrl.settings.base import Settings
from nnunetv2_pcrl.settings.plans_file import FINETUNE, read_section
from nnunetv2_pcrl.weights.transfer import TRANSFER_MODES

# Peak learning rate of the published schedule.
SAWTOOTH_LR = 1e-3
MAX_SEED = 2**31 - 1


class FinetuneSettings(Settings):
    """What a fine-tuning reads from its section of the plans file."""

    from_scratch: bool = Field(
        False,
        description="start from no weights, with the same schedule: the twin that tells weights "
        "and schedule apart",
    )
    weights: str | None = Field(
        None, description="path of the weights to start from; by default they are searched for"
    )
    transductive: bool = Field(
        False,
        description="take weights of fold all only, which has seen the images (not the labels) "
        "that the fold validates on; for results that are to be told apart",
    )
    transfer: Literal["encoder", "encoder_decoder", "encoder_decoder_zero_skip"] = Field(
        "encoder", description="which part of the weights is loaded"
    )
    other_dimension: bool = Field(
        False, description="whether 2D weights may start a 3D network and the other way"
    )
    finetune_lr: float | None = Field(
        None, gt=0, le=1, description="initial learning rate; by default nnU-Net's own"
    )
    warmup_new_epochs: int = Field(
        0,
        ge=0,
        description="epochs in which only the heads learn, and the decoder where `transfer` leaves "
        "it out",
    )
    warmup_epochs: int = Field(
        0, ge=0, description="epochs after these in which the rate of the whole network rises"
    )
    freeze_encoder_epochs: int = Field(
        0, ge=0, description="epochs, from the first one, in which the encoder stays as loaded"
    )
    sawtooth: bool = Field(
        False,
        description="the decoder first, then the whole network, each warmed up to a rate of 1e-3 "
        "(or finetune_lr): a tenth of the training each, at most 50 epochs",
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=MAX_SEED,
        description="of everything that chance decides, so that trainings of equal seed differ in "
        "their weights alone; by default nnU-Net's own chance",
    )

    @model_validator(mode="after")
    def _has_one_warm_up(self) -> "FinetuneSettings":
        if self.sawtooth and (self.warmup_new_epochs or self.warmup_epochs):
            raise ValueError(
                f'"sawtooth" brings its own warm-ups: leave out '
                f'"warmup_new_epochs": {self.warmup_new_epochs} and '
                f'"warmup_epochs": {self.warmup_epochs}'
            )
        return self

    @property
    def peak_lr(self) -> float | None:
        """Highest learning rate; None is nnU-Net's own."""
        return SAWTOOTH_LR if self.sawtooth and self.finetune_lr is None else self.finetune_lr

    @property
    def has_own_schedule(self) -> bool:
        """Whether the learning rates differ from nnU-Net's in more than the initial one."""
        counts = (self.warmup_new_epochs, self.warmup_epochs, self.freeze_encoder_epochs)
        return self.sawtooth or any(counts)

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> "FinetuneSettings":
        """Settings from the section of the plans file and from variants.

        Raises:
            ValueError: naming every setting that is unknown or does not fit, with its value.
        """
        return cls.from_values(section, FINETUNE)


def finetune_section(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The section of fine-tuning in a configuration of the plans file; empty if it has none.

    Raises:
        ValueError: if there are sections that nobody reads.
    """
    return read_section(configuration, FINETUNE, METHOD_SECTIONS)


def settings_of_variant(word: str) -> dict[str, Any] | None:
    """Settings of a trainer variant by the last part of its name; None if there is no such one.

    `encoder`, `heSkip` and `zeroSkip` say what is loaded, `warmup10` warms the new parts up for 10
    epochs and the whole network for 10 more, `sawtooth` is the setting of that name, `frozen10`
    keeps the encoder for 10 epochs, `lr1en3` is an initial learning rate of 1e-3 (nnU-Net's way to
    write it), `seed1` decides all that chance decides. `fromScratch` starts from no weights,
    `transductive` from those of fold all.
    """
    transfers = dict(zip(("encoder", "heSkip", "zeroSkip"), TRANSFER_MODES, strict=True))
    if word in transfers:
        return {"transfer": transfers[word]}
    if word == "fromScratch":
        return {"from_scratch": True}
    if word in ("transductive", "sawtooth"):
        return {word: True}
    if match := re.fullmatch(r"warmup([1-9]\d*)", word):
        return {"warmup_new_epochs": int(match[1]), "warmup_epochs": int(match[1])}
    if match := re.fullmatch(r"frozen([1-9]\d*)", word):
        return {"freeze_encoder_epochs": int(match[1])}
    if match := re.fullmatch(r"seed(\d+)", word):
        return {"seed": int(match[1])}
    rate = rate_of_word(word)
    return None if rate is None else {"finetune_lr": rate}
