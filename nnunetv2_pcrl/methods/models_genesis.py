"""Models Genesis: a distorted patch is restored.

The planned skip network itself sees a patch of the planned size whose texture is shuffled, whose
intensities are bent and a part of which is painted over, and restores the clean one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.losses.restoration import in_units, restoration_error
from nnunetv2_pcrl.methods.method import About
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass
from nnunetv2_pcrl.methods.patch_restoration import PatchRestoration
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.recipe import SettingsRecipe
from nnunetv2_pcrl.methods.settings import DistortionSettings, PatchSettings
from nnunetv2_pcrl.monitoring.restoring import (
    errors_by_channel,
    shown,
    variance_of,
    warnings,
)
from nnunetv2_pcrl.monitoring.vocabulary import Column, Line, Pictures, Series, Shown
from nnunetv2_pcrl.networks.restoration import RestorationNetwork
from nnunetv2_pcrl.networks.skip import SkipUNet
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.distortion import (
    Distortion,
    distort_,
    draw_distortion,
)
from nnunetv2_pcrl.views.patches import PlacedPatch
from nnunetv2_pcrl.views.resample import resample


class ModelsGenesisSettings(DistortionSettings, PatchSettings):
    """Everything that Models Genesis depends on besides the data and the plan."""


@dataclass(frozen=True)
class PreparedPatch:
    """A drawn patch as small tensors.

    Attributes:
        lines: where it samples the region, see `resample`.
        distortion: of the network's input.
    """

    lines: tuple[Tensor, ...]
    distortion: Distortion

    def make(self, region: Tensor) -> dict[str, Tensor]:
        """Makes the patch: `target`, clean, and `corrupted`, both [1, C, (D,) H, W]."""
        prepared = on_device(self, region.device)
        target = resample(region, prepared.lines)
        corrupted = target.clone()
        distort_(corrupted[0], prepared.distortion)
        return {"target": target, "corrupted": corrupted}


@dataclass(frozen=True)
class DrawnPatch(PlacedPatch):
    """A patch of one image and how it is distorted."""

    distortion: Distortion

    def prepared(self) -> PreparedPatch:
        """Does all that can be done without the image's voxels."""
        return PreparedPatch(self.lines, self.distortion)


@dataclass(frozen=True)
class ModelsGenesisRecipe(SettingsRecipe[ModelsGenesisSettings]):
    """One patch of an image, mirrored, slightly turned, and distorted."""

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> DrawnPatch:
        """Draws a patch and its distortion."""
        settings = self.settings
        patch = settings.drawn_patch(image_size, self.spacing, generator)
        distortion = draw_distortion(settings.view_size, channels, settings.chances, generator)
        return DrawnPatch(patch.place, patch.region, distortion)


@dataclass(frozen=True)
class ModelsGenesisObjective(Objective[RestorationNetwork]):
    """The error of all voxels; nothing is compared between images."""

    passes = (Pass("patch", "corrupted", maps=True),)
    weights: ClassVar[Mapping[str, float]] = {"restoration": 1.0}

    def of_views(
        self, network: RestorationNetwork, name: str, pyramid: list[Tensor], batch: Batch
    ) -> Numbers:
        """The error, and what the patch's mean and the distorted patch itself would cost."""
        target, corrupted = (
            in_units(batch[name][0], network.restoration.stds) for name in ("target", "corrupted")
        )
        restored = network.restoration(pyramid[-1]).to(target.dtype)
        return {
            "restoration": restoration_error(restored, target),
            "target_variance": variance_of(target),
            "input_error": restoration_error(corrupted, target),
        }


class ModelsGenesis(PatchRestoration[ModelsGenesisSettings, RestorationNetwork, DrawnPatch]):
    """Restoration of distorted patches by the planned skip network.

    Source: Zhou et al. 2021 (Models Genesis).
    """

    about = About(
        name="ModelsGenesis",
        section="models_genesis",
        title="restores patches that were shuffled, bent in intensity and painted over",
        citations=(
            {
                "type": "Methodology",
                "name": "Models Genesis",
                "apa_citations": [
                    "Zhou, Z., Sodha, V., Pang, J., Gotway, M. B., & Liang, J. (2021). Models "
                    "Genesis. Medical Image Analysis, 67, 101840. "
                    "https://doi.org/10.1016/j.media.2020.101840"
                ],
            },
        ),
    )
    Settings = ModelsGenesisSettings

    def __init__(self, settings: ModelsGenesisSettings, facts: PlanFacts):
        super().__init__(settings, facts)
        if not settings.p_shuffling + settings.p_curve + settings.p_painting > 0:
            raise ValueError(
                '"p_shuffling", "p_curve" and "p_painting" are all 0: there is nothing to restore. '
                "Set at least one of them"
            )

    def recipe(self) -> ModelsGenesisRecipe:
        """A patch and its distortion."""
        return ModelsGenesisRecipe(self.settings, self.facts.spacing)

    def build(self, planned: nn.Module) -> RestorationNetwork:
        """The planned network with a head for images in the place of labels."""
        return RestorationNetwork(SkipUNet(planned), self.facts.num_channels)

    def objective(
        self, network: RestorationNetwork, progress: float | None, generator: torch.Generator
    ) -> ModelsGenesisObjective:
        """The same in training and validation: distortions are drawn with the views."""
        return ModelsGenesisObjective()

    def shown(self, num_levels: int) -> Shown:
        """The error, squared and in units of the variance, and that of the input."""
        base = shown(
            "restoration error",
            "restoration",
            "Squared difference of the restored and the clean patch, in units of the data set's "
            "variance. The grey lines are what restoring each patch's mean, and giving back the "
            "distorted patch, would cost.",
            loss="Squared error of all voxels.",
            more=(Line("val_input_error", "the distorted patch", -1, "dashed"),),
        )
        return replace(base, series=(*base.series, Series("input_error")))

    def warnings(self, logged: Mapping[str, list[float]]) -> dict[str, str]:
        """Restorations that are stuck at the mean, or that stopped to improve early."""
        remedy = (
            'A higher "initial_lr", weaker distortion ("p_painting", "p_outer", "p_curve") or more '
            "epochs may help."
        )
        return warnings(logged, self.settings.num_epochs, remedy)

    def pictures(
        self, network: RestorationNetwork, drawn: DrawnPatch, views: Mapping[str, Tensor]
    ) -> Pictures:
        """What the network saw, what was there, and what it made of it."""
        target, corrupted = views["target"][0], views["corrupted"][0]
        restored = network.images(network.backbone(corrupted)[-1])
        return Pictures(
            drawn.place.box,
            (
                Column("input", corrupted[0].cpu()),
                Column("target", target[0].cpu()),
                Column("restoration", restored[0].cpu(), errors_by_channel(restored, target)),
            ),
            (restored - target)[0].abs().cpu(),
            window_of=1,
        )
