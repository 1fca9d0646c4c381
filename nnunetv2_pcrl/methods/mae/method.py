"""Masked autoencoding for convolutional networks: hidden blocks of a patch are restored.

The planned skip network itself sees a patch of the planned size in which blocks are hidden, and
restores what was there; only hidden voxels count.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.methods.mae.about import ABOUT
from nnunetv2_pcrl.methods.mae.network import MAENetwork
from nnunetv2_pcrl.methods.mae.objective import MAEObjective
from nnunetv2_pcrl.methods.mae.settings import MAESettings, block_size_of
from nnunetv2_pcrl.methods.mae.views import DrawnPatch, MAERecipe
from nnunetv2_pcrl.methods.method import Variant
from nnunetv2_pcrl.methods.patch_restoration import PatchRestoration
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.monitoring.restoring import errors_by_channel, shown, warnings
from nnunetv2_pcrl.monitoring.vocabulary import Column, Pictures, Shown

# Over the planned network: of about five convolutions per stage and resolution, one more on all
# resolutions but the finest.
DENSIFIED_WORK = 1.15


class MAE(PatchRestoration[MAESettings, MAENetwork, DrawnPatch]):
    """Masked autoencoding on the planned skip network.

    Source: He et al. 2022; for nnU-Net's networks Wald et al. 2025.
    """

    about = ABOUT
    Settings = MAESettings
    variants = {
        "densified": Variant(
            lambda facts: {"densified": True},
            "the decoder reads maps that are filled in where a stage saw nothing; the encoder "
            "alone is kept",
        )
    }

    def __init__(self, settings: MAESettings, facts: PlanFacts):
        super().__init__(settings, facts)
        blocks = settings.block_size
        if len(blocks) != facts.num_axes or min(blocks) < 1:
            raise ValueError(
                f'"block_size" must be {facts.num_axes} positive integers, got {blocks!r}'
            )
        if all(b >= v for b, v in zip(blocks, settings.view_size, strict=True)):
            raise ValueError(
                f'"block_size" {list(blocks)} leaves one block in a view of '
                f"{list(settings.view_size)}: nothing could be seen; make it smaller"
            )

    @property
    def work_per_image(self) -> float:
        """One pass; convolutions that fill maps in are about a seventh of the network more."""
        return self.largest_view * (DENSIFIED_WORK if self.settings.densified else 1.0)

    @property
    def num_levels(self) -> int:
        """One per decoder stage; of a densified network, whose decoder is no part of the backbone,
        one per encoder stage.
        """
        return super().num_levels + self.settings.densified

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The planned patch and batch; blocks of a tenth of the patch."""
        return {**super().defaults(facts, given), "block_size": block_size_of(facts)}

    def recipe(self) -> MAERecipe:
        """A patch whose hidden voxels are 0 where that is the image's mean."""
        return MAERecipe(self.settings, self.facts.spacing, self.facts.known_means)

    def build(self, planned: nn.Module) -> MAENetwork:
        """The planned network with a head for images."""
        return MAENetwork(planned, self.facts.num_channels, self.settings.densified)

    def objective(
        self, network: MAENetwork, progress: float | None, generator: torch.Generator
    ) -> MAEObjective:
        """The same in training and validation: masks are drawn with the views."""
        return MAEObjective()

    def shown(self, num_levels: int) -> Shown:
        """The error, squared and in units of the variance."""
        return shown(
            "error of hidden voxels",
            "hidden voxels",
            "Squared difference of restored and true values where blocks were hidden, in units of "
            "the data set's variance. The dotted line is what restoring each patch's mean would "
            "cost.",
            loss="Squared error of hidden voxels.",
        )

    def warnings(self, logged: Mapping[str, list[float]]) -> dict[str, str]:
        """Restorations that are stuck at the mean, or that stopped to improve early."""
        remedy = (
            'A higher "initial_lr", a lower "mask_ratio", smaller blocks ("block_size") or more '
            "epochs may help."
        )
        return warnings(logged, self.settings.num_epochs, remedy)

    def pictures(
        self, network: MAENetwork, drawn: DrawnPatch, views: Mapping[str, Tensor]
    ) -> Pictures:
        """What the network saw, what was there, what it made of it, and the two together."""
        target, mask = views["target"][0], views["mask"][0]
        corrupted = views["corrupted"][0]
        restored = network.images(network.features(network.backbone(corrupted), mask))
        together = torch.where(mask > 0, restored, target)
        errors = errors_by_channel(restored, target, mask)
        return Pictures(
            drawn.place.box,
            (
                Column("input", corrupted[0].cpu()),
                Column("target", target[0].cpu()),
                Column("restoration", restored[0].cpu(), errors),
                Column("hidden blocks restored", together[0].cpu(), errors),
            ),
            (together - target)[0].abs().cpu(),
            window_of=1,
        )
