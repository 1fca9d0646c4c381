"""SimCLR: two views of every image find one another among the views of all images of the batch.

The control of every contrastive claim: the planned encoder, a projector, one loss.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from nnunetv2_pcrl.losses.info_nce import nt_xent
from nnunetv2_pcrl.losses.similarity import feature_spread
from nnunetv2_pcrl.methods.method import About, Method, adamw
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass, Pooled
from nnunetv2_pcrl.methods.plan_facts import PlanFacts, check_view_size, nearest_multiple
from nnunetv2_pcrl.methods.settings import PairSettings
from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.representation import representation_numbers
from nnunetv2_pcrl.monitoring.vocabulary import (
    Card,
    Chart,
    Column,
    Line,
    Pictures,
    Series,
    Shown,
    both_phases,
    of_every_level,
    of_level,
)
from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.networks.projector import Projector, joined_levels
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.groups import PreparedGroup
from nnunetv2_pcrl.views.pairs import PlacedPair, draw_pair

# Below it, there is hardly anything to tell an image from.
SMALL_BATCH = 8
# Part by which a loss may lie above the lowest one of embeddings that are all apart, and be done.
SETTLED = 1.1


class SimCLRSettings(PairSettings):
    """Everything that SimCLR depends on besides the data and the plan."""

    batch_size: int = Field(
        32, ge=2, description="images told apart from one another, 64 in 2D; below 8 the log warns"
    )
    initial_lr: float = Field(1e-3, ge=0, le=100, description="learning rate of the first epoch")
    momentum: float = Field(
        0.9, ge=0, le=0.9999, description="of AdamW, its first beta; the second is 0.999"
    )
    weight_decay: float = Field(1e-2, ge=0, le=100, description="of AdamW")
    view_size: tuple[int, ...] = Field(
        description="voxels of a view; by default the multiple of the total stride nearest to 3/4 "
        "of the patch, two strides at least"
    )
    noise_std: float = Field(0.1, ge=0, le=100, description="largest standard deviation of noise")
    contrast: float = Field(
        0.2, ge=0, le=1, description="largest change of contrast about the mean"
    )
    temperature: float = Field(0.5, gt=0, le=100, description="of the similarities")
    hidden_size: int = Field(1024, ge=2, description="width of the projector's hidden layers")
    embedding_size: int = Field(128, ge=2, description="of a view, behind the projector")


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
class SimCLRRecipe:
    """Two overlapping views of an image, each turned and changed in intensity.

    Attributes:
        settings: sizes and ranges.
        spacing: mm per voxel, per axis in plan order.
    """

    settings: SimCLRSettings
    spacing: tuple[float, ...]

    @property
    def num_axes(self) -> int:
        """2 or 3."""
        return len(self.spacing)

    def draw(
        self, image_size: Sequence[int], num_channels: int, generator: torch.Generator
    ) -> DrawnPair:
        """Draws two views, each with values of its own."""
        settings = self.settings
        ranges = settings.pair_ranges(self.spacing)
        pair = draw_pair(image_size, num_channels, ranges, generator)
        return DrawnPair(pair.views, pair.region)


class SimCLRNetwork(PretrainingNetwork):
    """The planned encoder, and a projector on the features of all its stages."""

    def __init__(self, planned: nn.Module, settings: SimCLRSettings):
        super().__init__()
        self.backbone = Encoder(planned)
        features = sum(self.backbone.level_channels)
        self.projector = Projector(features, settings.hidden_size, settings.embedding_size)


@dataclass(frozen=True)
class SimCLRObjective(Objective):
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
        return (Pass("views", "views", levels=frozenset(range(self.num_levels))),)

    def of_batch(self, network: SimCLRNetwork, pooled: Pooled, tables: Batch) -> Numbers:
        """NT-Xent of all images."""
        first, second = network.projector(joined_levels(pooled["views"]))
        return {"contrast": nt_xent(first, second, self.temperature)}


@dataclass(frozen=True)
class SimCLREvaluation(SimCLRObjective):
    """The same, with the state of the representation."""

    @torch.no_grad()
    def of_batch(self, network: SimCLRNetwork, pooled: Pooled, tables: Batch) -> Numbers:
        """Besides the loss, how well embeddings tell images apart."""
        first, second = network.projector(joined_levels(pooled["views"]))
        numbers = {
            "contrast": nt_xent(first, second, self.temperature),
            **representation_numbers((first, first), (second, second), second),
        }
        for level, features in pooled["views"].items():
            numbers[of_level("feature_spread", level)] = feature_spread(features[0])
        return numbers


class SimCLR(Method[SimCLRSettings]):
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

    def __init__(self, settings: SimCLRSettings, facts: PlanFacts):
        super().__init__(settings, facts)
        check_view_size("view_size", settings.view_size, facts)

    @property
    def largest_view(self) -> int:
        """Voxels of a view."""
        return math.prod(self.settings.view_size)

    @property
    def num_levels(self) -> int:
        """One per encoder stage."""
        return len(self.facts.strides)

    @property
    def chance(self) -> float:
        """The loss where all embeddings are the same: ln(2N - 1)."""
        return math.log(2 * self.settings.batch_size - 1)

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
        return {kind: f"WARNING: {text}" for kind, text in self._small_batch().items()}

    def recipe(self) -> SimCLRRecipe:
        """Two overlapping views."""
        return SimCLRRecipe(self.settings, self.facts.spacing)

    def build(self, planned: nn.Module) -> SimCLRNetwork:
        """The planned encoder with a projector."""
        return SimCLRNetwork(planned, self.settings)

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """AdamW."""
        return adamw(network, self.settings)

    def objective(
        self, network: SimCLRNetwork, progress: float | None, generator: torch.Generator
    ) -> SimCLRObjective:
        """The contrast: nothing in it is drawn."""
        kind = SimCLREvaluation if progress is None else SimCLRObjective
        return kind(self.settings.temperature, self.num_levels)

    def summarised(self, means: dict[str, float]) -> dict[str, float]:
        """Adds the loss relative to that of embeddings that are all the same."""
        if "contrast" not in means:
            return means
        return {**means, "contrast_relative": means["contrast"] / self.chance}

    def shown(self, num_levels: int) -> Shown:
        """The contrast, and the state of the representation."""
        state = ("cosine_matching", "cosine_other", "retrieval", "effective_rank")
        spreads = [of_level("feature_spread", level) for level in range(num_levels)]
        return Shown(
            series=(
                Series("contrast", short="contrast", is_term=True),
                Series("contrast_relative", ("val",)),
                *(Series(name, ("val",)) for name in (*state, *spreads)),
            ),
            charts=self._charts(num_levels),
            cards=(
                Card(
                    "contrast / ln(2N - 1)",
                    ("val_contrast_relative",),
                    text="1: images cannot be told apart.",
                    short="contrast relative",
                ),
                Card(
                    "views that find their image",
                    ("val_retrieval",),
                    form=".0%",
                    text="Second views whose most similar first view is that of their image.",
                    short="retrieval",
                ),
                Card(
                    "lowest feature spread of the levels",
                    tuple(f"val_{name}" for name in spreads),
                    "min",
                    text="How much features differ between images, relative to their size.",
                    short="feature spread at least",
                ),
            ),
            loss="How hard it is to find the other view of an image among all views of the batch.",
        )

    def _charts(self, num_levels: int) -> tuple[Chart, ...]:
        by_chance = Line("", "chance", -1, "dotted", constant=1 / self.settings.batch_size)
        return (
            Chart(
                "contrast",
                (
                    *both_phases("contrast", "contrast", 0),
                    Line("", "all alike", -1, "dotted", constant=self.chance),
                    Line("", "all apart", -1, "dotted", constant=self._lowest()),
                ),
                from_zero=True,
                text="Cross entropy of finding the other view. Dotted: ln(2N - 1), where all "
                "images look alike, and the value where all images are at right angles.",
                axis="cross entropy",
            ),
            Chart(
                "views that find their image",
                (Line("val_retrieval", "validation", 0), by_chance),
                from_zero=True,
                text="Share of second views whose most similar first view is that of their image.",
                axis="share",
            ),
            Chart(
                "cosine of two views",
                (
                    Line("val_cosine_matching", "one image", 0),
                    Line("val_cosine_other", "different images", 1),
                ),
                text="The gap between the two is what tells images apart.",
                axis="cosine",
            ),
            Chart(
                "effective rank of embeddings",
                (Line("val_effective_rank", "validation", 0),),
                from_zero=True,
                text="How many directions the embeddings use; 1 or 2 tell hardly anything of an "
                "image.",
                axis="directions",
            ),
            Chart(
                "feature spread (0: collapse)",
                of_every_level("val_feature_spread", num_levels),
                from_zero=True,
                levels=True,
                text="How much features differ between images, relative to their size.",
                axis="spread",
            ),
        )

    def _lowest(self) -> float:
        """The loss where both views of an image agree, and different images are at right angles."""
        others = 2 * self.settings.batch_size - 2
        return math.log1p(others * math.exp(-1 / self.settings.temperature))

    def _small_batch(self) -> dict[str, str]:
        remedy = 'Set "batch_size" in the plans: memory does not depend on it.'
        return checks.small_batch(self.settings.batch_size, SMALL_BATCH, remedy)

    def warnings(self, logged: Mapping[str, list]) -> dict[str, str]:
        """A collapse, a small batch, a contrast at chance or on a plateau."""
        settings = self.settings
        levels = range(self.num_levels)
        spreads = [of_level("val_feature_spread", level) for level in levels]
        remedy = 'A larger "batch_size", another "initial_lr" or a lower "temperature" may help.'
        watched = checks.Watched(
            "val_contrast", "the contrast", SETTLED * self._lowest(), constant=self.chance
        )
        return {
            **checks.collapse(logged, spreads, remedy),
            **self._small_batch(),
            **checks.comparison_at_chance(logged, ["val_retrieval"], settings.batch_size, remedy),
            **checks.plateau(logged, watched, settings.num_epochs, remedy),
        }

    def pictures(
        self, network: SimCLRNetwork, drawn: DrawnPair, views: Mapping[str, Tensor]
    ) -> Pictures:
        """The two views as the network sees them."""
        first, second = views["views"][:, 0].cpu()
        return Pictures(
            drawn.must_vary[0], (Column("first view", first), Column("second view", second))
        )
