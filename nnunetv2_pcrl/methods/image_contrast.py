"""What methods share that tell images apart by two views of each, the batch being the others."""

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from nnunetv2_pcrl.losses.info_nce import nt_xent
from nnunetv2_pcrl.losses.similarity import feature_spread
from nnunetv2_pcrl.methods.objective import Numbers, Pass
from nnunetv2_pcrl.methods.settings import PairSettings
from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.charts import Logged
from nnunetv2_pcrl.monitoring.representation import representation_numbers
from nnunetv2_pcrl.monitoring.telling_apart import TellingApart
from nnunetv2_pcrl.monitoring.vocabulary import Card, Chart, Line, Series, both_phases, of_level
from nnunetv2_pcrl.networks.projector import Projector, joined_levels

# Below it, there is hardly anything to tell an image from.
SMALL_BATCH = 8
# Part by which a loss may lie above the lowest one of embeddings that are all apart, and be done.
SETTLED = 1.1


class ContrastSettings(PairSettings):
    """Of the contrast and its projector."""

    temperature: float = Field(0.5, gt=0, le=100, description="of the similarities")
    hidden_size: int = Field(1024, ge=2, description="width of the projector's hidden layers")
    embedding_size: int = Field(128, ge=2, description="of a view, behind the projector")

    @property
    def all_alike(self) -> float:
        """The contrast where all embeddings are the same: ln(2N - 1)."""
        return math.log(2 * self.batch_size - 1)

    @property
    def all_apart(self) -> float:
        """Where both views of an image agree, and different images are at right angles."""
        others = 2 * self.batch_size - 2
        return math.log1p(others * math.exp(-1 / self.temperature))


def views_pass(num_levels: int) -> Pass:
    """Both views together, of which all levels are read."""
    return Pass("views", "views", levels=frozenset(range(num_levels)))


def contrast(projector: Projector, pooled: Mapping[int, Tensor], temperature: float) -> Numbers:
    """NT-Xent of all images, from the pooled features of `views_pass` by level."""
    first, second = projector(joined_levels(pooled))
    return {"contrast": nt_xent(first, second, temperature)}


@torch.no_grad()
def contrast_and_state(
    projector: Projector, pooled: Mapping[int, Tensor], temperature: float
) -> Numbers:
    """Besides the contrast, how well embeddings tell images apart."""
    first, second = projector(joined_levels(pooled))
    return {
        "contrast": nt_xent(first, second, temperature),
        **representation_numbers((first, first), (second, second), second),
        **{of_level("feature_spread", k): feature_spread(v[0]) for k, v in pooled.items()},
    }


def relative(means: dict[str, float], settings: ContrastSettings) -> dict[str, float]:
    """Means of an epoch with the contrast relative to that of embeddings that are all the same."""
    if "contrast" not in means:
        return means
    return {**means, "contrast_relative": means["contrast"] / settings.all_alike}


SERIES = (
    Series("contrast", short="contrast", is_term=True),
    Series("contrast_relative", ("val",)),
)
CARD = Card(
    "contrast / ln(2N - 1)",
    ("val_contrast_relative",),
    text="1: images cannot be told apart.",
    short="contrast relative",
)


def chart(settings: ContrastSettings) -> Chart:
    """The contrast between its values for images that are all alike, and all apart."""
    return Chart(
        "contrast of images",
        (
            *both_phases("contrast", "contrast", 0),
            Line("", "all alike", -1, "dotted", constant=settings.all_alike),
            Line("", "all apart", -1, "dotted", constant=settings.all_apart),
        ),
        from_zero=True,
        text="How hard it is to find the other view of an image among all views of the batch. "
        "Dotted: ln(2N - 1), where all images look alike, and the value where all images are at "
        "right angles.",
        axis="cross entropy",
    )


def state(settings: ContrastSettings, num_levels: int) -> TellingApart:
    """What is shown of the embeddings."""
    return TellingApart(num_levels, candidates=settings.batch_size)


def small_batch(settings: ContrastSettings) -> checks.Found:
    """What is wrong with a small batch; known before the first epoch."""
    remedy = 'Set "batch_size" in the plans: memory does not depend on it.'
    return checks.small_batch(settings.batch_size, SMALL_BATCH, remedy)


def remarks(settings: ContrastSettings) -> dict[str, str]:
    """The same, as it is said then."""
    return {kind: f"WARNING: {text}" for kind, text in small_batch(settings).items()}


def warnings(
    logged: Logged, settings: ContrastSettings, num_levels: int, num_epochs: int
) -> checks.Found:
    """A collapse, a small batch, a contrast at chance or on a plateau.

    Args:
        logged: one value per epoch.
        settings: of the run.
        num_levels: of the pyramid.
        num_epochs: in which the contrast is trained.
    """
    remedy = 'A larger "batch_size", another "initial_lr" or a lower "temperature" may help.'
    settled = SETTLED * settings.all_apart
    watched = checks.Watched("val_contrast", "the contrast", settled, constant=settings.all_alike)
    return {
        **state(settings, num_levels).warnings(logged, remedy),
        **small_batch(settings),
        **checks.plateau(logged, watched, num_epochs, remedy),
    }
