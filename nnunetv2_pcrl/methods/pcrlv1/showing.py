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
WORDS = Words(
    finders="keys that find their image",
    found="Share of the teacher's second views whose most similar first view is that of their "
    "image.",
    pair="a query and a key",
)


def chance_of(settings: PCRLv1Settings) -> float:
    """The contrast where all keys look alike: ln(K + 1)."""
    return math.log(settings.queue_size + 1)


def state_of(settings: PCRLv1Settings) -> TellingApart:
    """What is shown of the embeddings: the bottleneck alone is compared."""
    return TellingApart(1, candidates=settings.batch_size, words=WORDS)


def summarised(means: dict[str, float], settings: PCRLv1Settings) -> dict[str, float]:
    """Adds contrast over ln(K + 1), and the restoration in units of the targets' variance."""
    if "contrast" not in means:
        return means
    variance = max(means["target_variance"], 1e-12)
    return {
        **means,
        "contrast_relative": means["contrast"] / chance_of(settings),
        "restoration_error": means["restoration"] / variance,
    }


def shown(settings: PCRLv1Settings) -> Shown:
    """What is logged and how it is shown; a contrast without weight is logged alone."""
    contrasts = bool(settings.contrast_weight)
    state = state_of(settings)
    compared = (_contrast_chart(settings), *state.charts) if contrasts else ()
    return Shown(
        series=(
            Series("contrast", short="contrast", is_term=contrasts),
            Series("restoration", short="restoration", is_term=True),
            Series("mixed_restoration", short="mixed", is_term=True),
            Series("target_variance"),
            Series("contrast_relative", ("val",)),
            Series("restoration_error", ("val",)),
            *state.series,
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
        loss="The contrast, and the mean of both restorations, each with its weight.",
    )


CONTRAST_CARD = Card(
    "contrast / ln(K + 1)",
    ("val_contrast_relative",),
    text="1: images cannot be told from the keys of the queue.",
    short="contrast relative",
)


def _contrast_chart(settings: PCRLv1Settings) -> Chart:
    alike = Line("", "all alike", -1, "dotted", constant=chance_of(settings))
    return Chart(
        "contrast with the queue",
        (*both_phases("contrast", "contrast", 0), alike),
        from_zero=True,
        text="How hard it is to find an image's own key among those of the queue. The dotted line "
        "is what equal embeddings cost.",
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
            text="Squared difference of the restored and the clean, transformed view. The dotted "
            "line is what restoring each view's mean would cost.",
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


def warnings(logged: Mapping[str, list], settings: PCRLv1Settings) -> dict[str, str]:
    """What is wrong after the last epoch with what the loss trains."""
    found = {}
    if settings.contrast_weight:
        remedy = 'Another "initial_lr", a lower "temperature" or a larger "batch_size" may help.'
        chance = chance_of(settings)
        watched = checks.Watched(
            "val_contrast", "the contrast", SETTLED_CONTRAST * chance, constant=chance
        )
        found |= {
            **state_of(settings).warnings(logged, remedy),
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
    plain = network.restored(pyramid, network.gate(pyramid[0], codes[0])).to(first.dtype)
    mixed = network.mixed(pyramid, network.teacher(other), codes, mix)
    together = network.restored(mixed, mixed[0]).to(first.dtype)
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
