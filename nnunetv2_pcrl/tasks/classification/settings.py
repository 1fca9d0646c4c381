"""Settings of classification, taken from the plans file and from trainer names."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from nnunetv2_pcrl.tasks.encoder.settings import EncoderSettings


class ClassificationSettings(EncoderSettings):
    """What the classification trainers read from the plans file, section "classification"."""

    words: ClassVar[Mapping[str, dict[str, Any]]] = {
        **EncoderSettings.words,
        "windows": {"input": "windows"},
    }

    uncertain: Literal["ignore", "zeros", "ones", "mixed"] = Field(
        "ignore",
        description="what is made of -1 in classes.csv: unknown, absent, present, or (mixed) "
        "present for Atelectasis and Edema and absent for all others",
    )
    blank: Literal["unknown", "zeros"] = Field(
        "unknown", description="what is made of empty fields in classes.csv: unknown, or absent"
    )
    input: Literal["whole", "windows"] = Field(
        "whole",
        description="what the network sees: the whole image, resized to the planned patch, or "
        "windows of that size, whose logits are averaged",
    )
    keep_aspect: bool | None = Field(
        None,
        description="whether a whole image keeps its proportions and is padded; null: in 2D it "
        "does, in 3D each axis is resized by itself",
    )
    max_val_cases: int = Field(
        2000,
        ge=1,
        description="validation cases per epoch, always the same ones; after the training all are "
        "predicted",
    )
