"""Settings of every training of the planned encoder with a linear layer."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager
from pydantic import Field

from nnunetv2_pcrl.methods.settings import settings_of_word
from nnunetv2_pcrl.settings.base import Settings


class EncoderSettings(Settings):
    """What all these trainings have in common; a task adds its own."""

    # Settings by the words of trainer names that stand for them.
    words: ClassVar[Mapping[str, dict[str, Any]]] = {
        "fromScratch": {"from_scratch": True},
        "linearProbe": {"linear_probe": True},
        "transductive": {"transductive": True},
        "allStages": {"stages": "all"},
    }

    from_scratch: bool = Field(
        False,
        description="start from no weights: the twin that tells weights and schedule apart",
    )
    weights: str | None = Field(
        None, description="path of the weights to start from; null searches for them"
    )
    transductive: bool = Field(
        False,
        description="take weights of fold all only, which has seen the images (not the classes) "
        "that the fold validates on",
    )
    other_dimension: bool = Field(
        False, description="whether weights of a 2D network may start a 3D one and the other way"
    )
    linear_probe: bool = Field(
        False, description="leave the encoder as loaded and train the linear layer only"
    )
    stages: Literal["last", "all"] = Field(
        "last", description="encoder stages whose pooled features the linear layer sees"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="of the pooled features")
    mirror_axes: tuple[int, ...] | None = Field(
        None,
        description="axes of the plan, 0 first, along which training images are mirrored; null: "
        "none for X-ray films, nnU-Net's own for all others",
    )
    max_rotation_degrees: float | None = Field(
        None,
        ge=0,
        le=180,
        description="of training images; null: 15 for X-ray films, nnU-Net's own for all others",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="images of a step, of all processes together; null: the planned number, and "
        "twice as many for a PlainConvUNet, whose decoder takes more than half of the memory",
    )
    num_epochs: int = Field(100, ge=1, description="length of the training")
    num_iterations_per_epoch: int = Field(50, ge=1, description="steps of an epoch")
    initial_lr: float = Field(
        1e-4, gt=0, le=1, description="learning rate of the encoder after the warm-up"
    )
    head_lr_factor: float = Field(
        10.0, gt=0, le=1000, description="how many times faster the linear layer learns"
    )
    warmup_part: float = Field(
        0.1, ge=0, lt=1, description="part of the epochs in which the learning rate rises"
    )
    weight_decay: float = Field(1e-2, ge=0, le=100, description="of AdamW")
    seed: int = Field(
        0,
        ge=0,
        description="initialisation and every draw: equal seeds give equal runs on a CPU, with as "
        "many threads",
    )

    @classmethod
    def of_word(cls, word: str) -> dict[str, Any] | None:
        """Settings of a trainer variant by a part of its name; None if there is no such one.

        Beside `words`, `seed1` draws everything anew, `lr1en3` is an initial learning rate of
        1e-3, `20epochs` a length.
        """
        return cls.words.get(word) or settings_of_word(word)

    def images_per_step(self, plan: ConfigurationManager) -> int:
        """Images of a step, of all processes together.

        Without its decoder, what a training keeps of a forward pass is 0.40 of the planned network
        for PlainConvUNet and about 0.7 for ResidualEncoderUNet.

        Args:
            plan: nnU-Net's configuration.
        """
        if self.batch_size is not None:
            return self.batch_size
        is_plain = plan.network_arch_class_name.endswith("PlainConvUNet")
        return plan.batch_size * (2 if is_plain else 1)

    @property
    def head_lr(self) -> float:
        """Learning rate of the linear layer after the warm-up."""
        return self.initial_lr * self.head_lr_factor
