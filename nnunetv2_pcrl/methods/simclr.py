"""SimCLR: two views of every image find one another among the views of all images of the batch.

The control of every contrastive claim: the planned encoder, a projector, one loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from nnunetv2_pcrl.methods import image_contrast
from nnunetv2_pcrl.methods.image_contrast import ContrastSettings
from nnunetv2_pcrl.methods.method import About
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass, Pooled
from nnunetv2_pcrl.methods.one_view_size import OnEncoder
from nnunetv2_pcrl.methods.plan_facts import PlanFacts, nearest_multiple
from nnunetv2_pcrl.methods.recipe import SettingsRecipe
from nnunetv2_pcrl.monitoring.vocabulary import Column, Pictures, Shown
from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.networks.projector import Projector
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.groups import PreparedGroup
from nnunetv2_pcrl.views.pairs import PlacedPair, draw_pair


class SimCLRSettings(ContrastSettings):
    """Everything that SimCLR depends on besides the data and the plan."""

    batch_size: int = Field(
        32, ge=2, description="images told apart from one another, 64 in 2D; below 8 the log warns"
    )
    view_size: tuple[int, ...] = Field(
        description="voxels of a view; by default the multiple of the total stride nearest to 3/4 "
        "of the patch, two strides at least"
    )
    noise_std: float = Field(
        0.1, ge=0, le=100, description="largest standard deviation of noise, in that of the channel"
    )
    contrast: float = Field(
        0.2, ge=0, le=1, description="largest change of contrast about the mean"
    )


@dataclass(frozen=True)
class PreparedPair:
    """Two views as small tensors."""

    views: PreparedGroup

    def make(self, region: Tensor) -> dict[str, Tensor]:
        """Makes `views`, shape [2, C, (D,) H, W]."""
        return {"views": on_device(self.views, region.device).made(region)}


@dataclass(frozen=True)
class DrawnPair(PlacedPair):
    """Two views of one image."""

    def prepared(self) -> PreparedPair:
        """Does all that can be done without the image's voxels."""
        return PreparedPair(self.group)


@dataclass(frozen=True)
class SimCLRRecipe(SettingsRecipe[SimCLRSettings]):
    """Two overlapping views of an image, each turned and changed in intensity."""

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> DrawnPair:
        """Draws two views, each with values of its own."""
        settings = self.settings
        ranges = settings.pair_ranges(self.spacing)
        pair = draw_pair(image_size, channels, ranges, generator)
        return DrawnPair(pair.views, pair.region)


class SimCLRNetwork(PretrainingNetwork):
    """The planned encoder, and a projector on the features of all its stages."""

    backbone: Encoder

    def __init__(self, planned: nn.Module, settings: SimCLRSettings):
        super().__init__()
        self.backbone = Encoder(planned)
        features = sum(self.backbone.level_channels)
        self.projector = Projector(features, settings.hidden_size, settings.embedding_size)


@dataclass(frozen=True)
class SimCLRObjective(Objective[SimCLRNetwork]):
    """The contrast of the two views; all of the batch are one population.

    Attributes:
        temperature: of the similarities.
        num_levels: of the pyramid; all are read.

    Source: Chen et al. 2020 (SimCLR).
    """

    temperature: float
    num_levels: int

    @property
    def weights(self) -> Mapping[str, float]:
        """One term."""
        return {"contrast": 1.0}

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Both views together."""
        return (image_contrast.views_pass(self.num_levels),)

    def of_batch(self, network: SimCLRNetwork, pooled: Pooled, tables: Batch) -> Numbers:
        """NT-Xent of all images."""
        return image_contrast.contrast(network.projector, pooled["views"], self.temperature)


@dataclass(frozen=True)
class SimCLREvaluation(SimCLRObjective):
    """The same, with the state of the representation."""

    def of_batch(self, network: SimCLRNetwork, pooled: Pooled, tables: Batch) -> Numbers:
        """Besides the loss, how well embeddings tell images apart."""
        return image_contrast.contrast_and_state(
            network.projector, pooled["views"], self.temperature
        )


class SimCLR(OnEncoder[SimCLRSettings, SimCLRNetwork, DrawnPair]):
    """Contrast of images on the planned encoder.

    Source: Chen et al. 2020 (SimCLR).
    """

    about = About(
        name="SimCLR",
        section="simclr",
        title="tells images apart by two views of each",
        citations=(
            {
                "type": "Methodology",
                "name": "SimCLR",
                "apa_citations": [
                    "Chen, T., Kornblith, S., Norouzi, M., & Hinton, G. (2020). A Simple Framework "
                    "for Contrastive Learning of Visual Representations. ICML, 1597-1607."
                ],
            },
        ),
    )
    Settings = SimCLRSettings
    usual_optimizer = "adamw"

    @property
    def work_per_image(self) -> float:
        """Both views pass the encoder, once without gradient and once with it."""
        return 4 / 3 * self.facts.parts.encoder * 2 * self.largest_view

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Views of 3/4 of the patch; images in 2D are small."""
        return {
            "batch_size": 64 if facts.num_axes == 2 else 32,
            "view_size": tuple(
                nearest_multiple(0.75 * size, stride, least=2)
                for size, stride in zip(facts.patch_size, facts.total_stride, strict=True)
            ),
        }

    def remarks(self) -> dict[str, str]:
        """Too small a batch."""
        return image_contrast.remarks(self.settings)

    def recipe(self) -> SimCLRRecipe:
        """Two overlapping views."""
        return SimCLRRecipe(self.settings, self.facts.spacing)

    def build(self, planned: nn.Module) -> SimCLRNetwork:
        """The planned encoder with a projector."""
        return SimCLRNetwork(planned, self.settings)

    def objective(
        self, network: SimCLRNetwork, progress: float | None, generator: torch.Generator
    ) -> SimCLRObjective:
        """The contrast: nothing in it is drawn."""
        kind = SimCLREvaluation if progress is None else SimCLRObjective
        return kind(self.settings.temperature, self.num_levels)

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Adds the loss relative to that of embeddings that are all the same."""
        return image_contrast.relative(means, self.settings)

    def shown(self, num_levels: int) -> Shown:
        """The contrast, and the state of the representation."""
        state = image_contrast.state(self.settings, num_levels)
        return Shown(
            series=(*image_contrast.SERIES, *state.series),
            charts=(image_contrast.chart(self.settings), *state.charts),
            cards=(image_contrast.CARD, *state.cards),
            loss="How hard it is to find the other view of an image among all views of the batch.",
        )

    def warnings(self, logged: Mapping[str, list[float]]) -> dict[str, str]:
        """A collapse, a small batch, a contrast at chance or on a plateau."""
        settings = self.settings
        return image_contrast.warnings(logged, settings, self.num_levels, settings.num_epochs)

    def pictures(
        self, network: SimCLRNetwork, drawn: DrawnPair, views: Mapping[str, Tensor]
    ) -> Pictures:
        """The two views as the network sees them."""
        first, second = views["views"][:, 0].cpu()
        return Pictures(
            drawn.must_vary[0], (Column("first view", first), Column("second view", second))
        )
