"""Rotation: the network guesses by how many quarters a view was turned. A method on one page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nnunetv2_pcrl.methods.method import About, Variant
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass
from nnunetv2_pcrl.methods.one_view_size import OnEncoder
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.recipe import SettingsRecipe
from nnunetv2_pcrl.methods.settings import ViewSettings
from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.vocabulary import (
    Card,
    Chart,
    Column,
    Line,
    Matrix,
    Pictures,
    Series,
    Shown,
    both_phases,
)
from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.networks.heads import global_average_pool
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.views.boxes import Box, draw_box_within, draw_crop_size
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.devices import on_device
from nnunetv2_pcrl.views.groups import PlacedView, lines_of, region_of
from nnunetv2_pcrl.views.resample import Deformation, resample
from nnunetv2_pcrl.views.seeding import integer


# 1. Settings: what a person may change, each with its bounds and a text.
class RotationSettings(ViewSettings):
    """Everything that a rotation pretraining depends on besides the data and the plan."""

    view_size: tuple[int, ...] = Field(
        description="view in voxels, a square in its last two axes; by default the largest one "
        "in the planned patch"
    )
    quarters: tuple[int, ...] = Field(
        (0, 1, 2, 3), min_length=2, description="quarter turns that are told apart"
    )


# 2. Views: drawn (numbers only), prepared (small tensors), made (voxels, on any device).
@dataclass(frozen=True)
class PreparedView:
    """A drawn view as small tensors: where it samples the region, and its turn."""

    lines: tuple[Tensor, ...]
    quarter: int
    answer: Tensor

    def make(self, region: Tensor) -> dict[str, Tensor]:
        """The turned view [1, C, (D,) H, W], and which turn it was [1]."""
        prepared = on_device(self, region.device)
        view = torch.rot90(resample(region, prepared.lines), self.quarter, (-2, -1))
        return {"turned": view.contiguous(), "answer": prepared.answer}


@dataclass(frozen=True)
class DrawnView:
    """A view of one image: where it lies, what is read for it, and its turn."""

    place: PlacedView
    region: Box
    quarter: int
    answer: int

    @property
    def must_vary(self) -> tuple[Box, ...]:
        """A view without content has no direction."""
        return (self.place.box,)

    @property
    def boxes(self) -> Mapping[str, tuple[Box, ...]]:
        """For the pictures."""
        return {"view": self.must_vary}

    def prepared(self) -> PreparedView:
        """Does all that can be done without the image's voxels."""
        lines = lines_of([self.place], self.region)
        return PreparedView(lines, self.quarter, torch.tensor([self.answer]))


@dataclass(frozen=True)
class RotationRecipe(SettingsRecipe[RotationSettings]):
    """One crop of an image, turned; mirrored ones could not be told from turned ones."""

    def draw(
        self, image_size: Sequence[int], channels: Channels, generator: torch.Generator
    ) -> DrawnView:
        """Draws a crop, which is enlarged where the image is smaller than the view, and a turn."""
        size = self.settings.view_size
        crop_size = draw_crop_size(size, image_size, (1.0, 1.0), generator)
        whole = Box((0,) * self.num_axes, tuple(image_size))
        box = draw_box_within(crop_size, whole, generator)
        place = PlacedView(box, Deformation.identity(self.num_axes), size, self.spacing)
        answer = integer(0, len(self.settings.quarters) - 1, generator)
        quarter = self.settings.quarters[answer]
        return DrawnView(place, region_of([place], image_size), quarter, answer)


# 3. The network: a backbone of the planned network's modules, and a head.
class RotationNetwork(PretrainingNetwork):
    """The planned encoder with a linear layer on its pooled last stage."""

    def __init__(self, planned: nn.Module, num_answers: int):
        super().__init__()
        self.backbone = Encoder(planned)
        self.head = nn.Linear(self.backbone.level_channels[0], num_answers)

    def logits(self, pyramid: list[Tensor]) -> Tensor:
        """One per answer, shape [B, answers]; level 0 of the pyramid is the last stage."""
        return self.head(global_average_pool(pyramid[0]))


# 4. The loss: which views pass which backbone, and the terms that are made of the features.
@dataclass(frozen=True)
class RotationObjective(Objective[RotationNetwork]):
    """Cross-entropy of the guessed turn; a number without a weight is watched only."""

    passes = (Pass("view", "turned", maps=True),)
    weights: ClassVar[Mapping[str, float]] = {"cross_entropy": 1.0}

    def of_views(
        self, network: RotationNetwork, name: str, pyramid: list[Tensor], batch: Batch
    ) -> Numbers:
        """Means over the images of the batch."""
        logits, answers = network.logits(pyramid), batch["answer"][0]
        is_right = logits.argmax(dim=1) == answers
        return {
            "cross_entropy": F.cross_entropy(logits, answers),
            "accuracy": is_right.to(logits.dtype).mean(),
        }


# 5. The method: all of it together.
class Rotation(OnEncoder[RotationSettings, RotationNetwork, DrawnView]):
    """Guesses quarter turns. Source: Gidaris et al. 2018."""

    about = About(
        name="Rotation",
        section="rotation",
        title="guesses by how many quarters a view was turned",
        citations=(
            {
                "type": "Methodology",
                "name": "Rotation",
                "apa_citations": [
                    "Gidaris, S., Singh, P., & Komodakis, N. (2018). Unsupervised Representation "
                    "Learning by Predicting Image Rotations. ICLR."
                ],
            },
        ),
    )
    Settings = RotationSettings
    variants: ClassVar[Mapping[str, Variant]] = {
        "halfTurns": Variant(lambda facts: {"quarters": (0, 2)}, "half turns only")
    }

    def __init__(self, settings: RotationSettings, facts: PlanFacts):
        super().__init__(settings, facts)
        if settings.view_size[-1] != settings.view_size[-2]:
            raise ValueError(
                f'"view_size" {list(settings.view_size)} cannot be turned by a quarter: make its '
                f"last two axes equal"
            )

    @classmethod
    def defaults(cls, facts: PlanFacts, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The largest view in the planned patch whose last two axes are equal."""
        sizes = [p // s * s for p, s in zip(facts.patch_size, facts.total_stride, strict=True)]
        step = math.lcm(*facts.total_stride[-2:])
        edge = max(step, min(sizes[-2:]) // step * step)
        return {"view_size": (*sizes[:-2], edge, edge)}

    def recipe(self) -> RotationRecipe:
        """How views are drawn from an image."""
        return RotationRecipe(self.settings, self.facts.spacing)

    def build(self, planned: nn.Module) -> RotationNetwork:
        """The network to pretrain."""
        return RotationNetwork(planned, len(self.settings.quarters))

    def objective(
        self, network: RotationNetwork, progress: float | None, generator: torch.Generator
    ) -> RotationObjective:
        """The same in every step: turns are drawn with the views."""
        return RotationObjective()

    # 6. What a person sees.
    def shown(self, num_levels: int) -> Shown:
        """Every number that the loss gives is a series; charts and cards are made of them."""
        chance = 1 / len(self.settings.quarters)
        by_chance = Line("", "chance", -1, "dotted", constant=chance)
        return Shown(
            series=(
                Series("cross_entropy", short="cross entropy", is_term=True),
                Series("accuracy", short="right"),
            ),
            charts=(
                Chart(
                    "turns that are guessed right",
                    (*both_phases("accuracy", "right", 0), by_chance),
                    from_zero=True,
                    text="Part of the views whose turn is guessed; the dotted line is chance.",
                    axis="part of the views",
                ),
            ),
            cards=(Card("turns guessed right", ("val_accuracy",), form=".0%", short="right"),),
            loss="Cross-entropy of the guessed turn.",
        )

    def warnings(self, logged: Mapping[str, list]) -> dict[str, str]:
        """A guess that stays at chance."""
        chance = math.log(len(self.settings.quarters))
        watched = checks.Watched("val_cross_entropy", "the guess", settled=0.1, constant=chance)
        remedy = 'A higher "initial_lr" or more epochs may help.'
        return checks.plateau(logged, watched, self.settings.num_epochs, remedy)

    def pictures(
        self, network: RotationNetwork, drawn: DrawnView, views: Mapping[str, Tensor]
    ) -> Pictures:
        """The turned view, and how likely each turn is to the network."""
        view = views["turned"][0]
        chances = network.logits(network.backbone(view)).softmax(dim=1).cpu()
        turns = tuple(f"{90 * quarter}°" for quarter in self.settings.quarters)
        matrix = Matrix("probability", chances, (f"turned by {turns[drawn.answer]}",), turns)
        return Pictures(drawn.place.box, (Column("view", view[0].cpu()),), matrices=(matrix,))
