"""Settings of fine-tuning, taken from the plans file."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nnunetv2_pcrl.weights.transfer import TRANSFER_MODES


@dataclass(frozen=True)
class FinetuneSettings:
    """What PCRLv2FinetuneTrainer reads from the plans file.

    Attributes:
        weights: path of the weights to start from; None searches for them.
        transfer: which part of them is loaded, one of `TRANSFER_MODES`.
    """

    weights: str | None = None
    transfer: str = "encoder"

    @classmethod
    def names(cls) -> set[str]:
        """Names of all settings."""
        return {field.name for field in fields(cls)}

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
        return settings
