"""What PCRLv1 shows of itself: numbers, charts, warnings, restorations."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from nnunetv2_pcrl.methods.pcrlv1.network import PCRLv1Network, blended
from nnunetv2_pcrl.methods.pcrlv1.settings import PCRLv1Settings
from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.restoring import errors_by_channel
from nnunetv2_pcrl.monitoring.telling_apart import TellingApart, Words
from nnunetv2_pcrl.monitoring.vocabulary import (
    LEARNING_RATE,
    Card,
    Chart,
    Column,
    Line,
    Pictures,
    Series,
    Shown,
    both_phases,
)
from nnunetv2_pcrl.views.boxes import Box

# Relative to a constant answer: at or below, a term may stay where it is.
SETTLED_CONTRAST, SETTLED_RESTORATION = 0.5, 0.5
MOMENTUM = "teacher_momentum"
WORDS = Words(
    finders="keys that find their image",
    found="Share of the teacher's second views whose most similar first view is that of their "
    "image.",
    pair="a query and a key",
)


def chance_of(settings: PCRLv1Settings) -> float:
    """The contrast where all keys look alike and the queue is full: ln(K + N)."""
    return math.log(settings.queue_size + settings.batch_size)


def state_of(num_levels: int, settings: PCRLv1Settings) -> TellingApart:
    """What is shown of the embeddings."""
    return TellingApart(num_levels, candidates=settings.batch_size, words=WORDS)


def summarised(means: dict[str, float]) -> dict[str, float]:
    """Adds contrast over that of keys alike, and restoration in units of the targets' variance."""
    if "contrast" not in means:
        return means
    variance = max(means["target_variance"], 1e-12)
    return {
        **means,
        "contrast_relative": means["contrast"] / means["contrast_of_alike"],
        "restoration_error": means["restoration"] / variance,
    }


def shown(num_levels: int, settings: PCRLv1Settings) -> Shown:
    """What is logged and how it is shown; a contrast without weight is logged alone."""
    contrasts = bool(settings.contrast_weight)
    state = state_of(num_levels, settings)
    compared = (CONTRAST_CHART, *state.charts) if contrasts else ()
    return Shown(
        series=(
            Series("contrast", short="contrast", is_term=contrasts),
            Series("restoration", short="restoration", is_term=True),
            Series("mixed_restoration", short="mixed", is_term=True),
            Series("target_variance"),
            Series("contrast_of_alike", ("val",)),
            Series("contrast_relative", ("val",)),
            Series("restoration_error", ("val",)),
            *state.series,
            Series(MOMENTUM, ()),
        ),
        charts=(*_restoration_charts(), *compared),
        cards=(
            Card(
                "restoration error / variance",
                ("val_restoration_error",),
                text="1: as good as restoring the mean; 0: perfect.",
                short="restoration error",
            ),
            *((CONTRAST_CARD, *state.cards) if contrasts else ()),
        ),
        schedules=(LEARNING_RATE, Line(MOMENTUM, "teacher's momentum", 1, "dashed")),
        loss="The contrast, and the mean of both restorations, each with its weight.",
    )


CONTRAST_CARD = Card(
    "contrast / that of keys alike",
    ("val_contrast_relative",),
    text="1: an image cannot be told from those of the batch and the queue.",
    short="contrast relative",
)
CONTRAST_CHART = Chart(
    "contrast with batch and queue",
    (
        *both_phases("contrast", "contrast", 0),
        Line("val_contrast_of_alike", "all alike", -1, "dotted"),
    ),
    from_zero=True,
    text="How hard it is to find an image's own key among those of the batch and the queue. The "
    "dotted line is what equal embeddings cost: it rises until the queue is full.",
    axis="cross entropy",
)


def _restoration_charts() -> tuple[Chart, ...]:
    return (
        Chart(
            "restoration error, squared",
            (
                *both_phases("restoration", "one view", 0),
                *both_phases("mixed_restoration", "both mixed", 1),
                Line("val_target_variance", "the view's mean", -1, "dotted"),
            ),
            from_zero=True,
            text="Squared difference of the restored and the clean, transformed view, in units of "
            "the data set's variance. The dotted line is what restoring each view's mean would "
            "cost.",
            axis="squared error",
        ),
        Chart(
            "restoration error / variance (1: the mean)",
            (Line("val_restoration_error", "validation", 0),),
            from_zero=True,
            text="The same relative to the image's variance: 1 is as good as the mean, 0 is "
            "perfect.",
            axis="error / variance",
        ),
    )


def warnings(
    logged: Mapping[str, list[float]], num_levels: int, settings: PCRLv1Settings
) -> dict[str, str]:
    """What is wrong after the last epoch with what the loss trains."""
    found: dict[str, str] = {}
    if settings.contrast_weight:
        remedy = 'Another "initial_lr", a lower "temperature" or a larger "batch_size" may help.'
        chance = chance_of(settings)
        watched = checks.Watched(
            "val_contrast", "the contrast", SETTLED_CONTRAST * chance, constant=chance
        )
        found |= {
            **state_of(num_levels, settings).warnings(logged, remedy),
            **checks.plateau(logged, watched, settings.num_epochs, remedy),
        }
    remedy = (
        'A higher "initial_lr", weaker distortion ("p_painting", "p_outer") or more epochs may '
        "help."
    )
    error = "val_restoration_error"
    watched = checks.Watched(error, "the restoration", SETTLED_RESTORATION)
    return found | (
        checks.stuck_at_the_mean(logged, error, remedy)
        or checks.plateau(logged, watched, settings.num_epochs, remedy)
    )


@torch.no_grad()
def pictures(network: PCRLv1Network, box: Box, views: Mapping[str, Tensor]) -> Pictures:
    """Restorations of the first view under its code, and of its mixture with the second one."""
    (first, second), codes, mix = views["targets"], views["codes"], views["mix"][0]
    corrupted, other = views["views"]
    pyramid = network.backbone(corrupted)
    plain = network.restored(pyramid, network.gate(pyramid[0], codes[0]))
    mixed = network.mixed(pyramid, network.teacher(other), codes, mix)
    plain, together = (
        network.restoration.in_intensities(restored.to(first.dtype))
        for restored in (plain, network.restored(mixed, mixed[0]))
    )
    both = blended(first, second, mix)
    return Pictures(
        box,
        (
            Column("input", corrupted[0].cpu()),
            Column("target (transformed)", first[0].cpu()),
            Column("restoration", plain[0].cpu(), errors_by_channel(plain, first)),
            Column("both views mixed", both[0].cpu()),
            Column("mixed restoration", together[0].cpu(), errors_by_channel(together, both)),
        ),
        (plain - first)[0].abs().cpu(),
        window_of=1,
    )
