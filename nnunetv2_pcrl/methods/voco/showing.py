"""What a VoCo pretraining shows of itself: logged numbers, charts, warnings, placed queries."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nnunetv2_pcrl.methods.voco.loss import cosines
from nnunetv2_pcrl.methods.voco.network import VoCoNetwork
from nnunetv2_pcrl.methods.voco.objective import VoCoObjective
from nnunetv2_pcrl.methods.voco.settings import VoCoSettings
from nnunetv2_pcrl.methods.voco.views import DrawnCrops
from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.charts import finished, last_finite
from nnunetv2_pcrl.monitoring.telling_apart import TellingApart, Words
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
from nnunetv2_pcrl.networks.heads import global_average_pool

# Readers of nnU-Net that know how images lie and leave them so.
UNORIENTED_READERS = ("SimpleITKIO", "NibabelIO")
# Part of a constant similarity's cost below which a loss has taught what it can.
SETTLED = 0.5
WORDS = Words(
    finders="queries that find the base crop they overlap most",
    found="Share of the queries whose most similar base crop is the one they overlap most.",
    pair="a query and a base crop",
    matching="most overlap",
    other="no overlap",
    things="crops",
    thing="a place",
)


def state_of(num_levels: int, settings: VoCoSettings) -> TellingApart:
    """What is shown of the embeddings of crops."""
    return TellingApart(num_levels, settings.num_bases, words=WORDS, share="placed")


def shown(num_levels: int, settings: VoCoSettings) -> Shown:
    """What is logged and how it is shown.

    Args:
        num_levels: levels of the pyramid.
        settings: of the run; a term without weight is no part of the loss.
    """
    has_inter = bool(settings.inter_weight)
    inter = (Series("inter", short="inter", is_term=True),) if has_inter else ()
    state = state_of(num_levels, settings)
    series = (
        Series("intra", short="intra", is_term=bool(settings.intra_weight)),
        *inter,
        Series("regulariser", short="regulariser", is_term=bool(settings.regulariser_weight)),
        Series("positive"),
        Series("negative"),
        *(Series(name, ("val",)) for name in ("positive_of_constant", "negative_of_constant")),
        *(Series(name, ("val",)) for name in ("intra_of_constant", "intra_relative")),
        *state.series,
    )
    loss = "Overlaps of crops of one image (intra), similarities across images (inter), and base "
    loss += "crops that are not to resemble one another (regulariser), each with its weight."
    return Shown(
        series,
        (*_charts(settings), *state.charts),
        (INTRA_CARD, *state.cards),
        loss=loss,
    )


INTRA_CARD = Card(
    "intra term / that of constant similarity",
    ("val_intra_relative",),
    text="1: crops cannot be told apart; 0: every overlap is told exactly.",
    short="intra relative",
)


def _charts(settings: VoCoSettings) -> tuple[Chart, ...]:
    others = both_phases("inter", "next image", 0) if settings.inter_weight else ()
    return (
        Chart(
            "overlap with base crops of the image, parts of the loss",
            (
                *both_phases("positive", "positive", 0),
                *both_phases("negative", "negative", 1),
                Line("val_positive_of_constant", "constant similarity, positive", -1, "dotted"),
                Line("val_negative_of_constant", "constant similarity, negative", -1, "dotted"),
            ),
            from_zero=True,
            text="How far similarities are from true overlaps, where there is one (positive) and "
            "where there is none (negative). Dotted: the best similarity that is the same for all "
            "crops. Both parts together must fall below both lines: either alone is cheap.",
            axis="cost",
        ),
        Chart(
            "similarity across images, and of base crops",
            (*others, *both_phases("regulariser", "base crops", 1)),
            from_zero=True,
            text="How far similarities to the next image's base crops are from the teacher's, and "
            "how much base crops of one image resemble one another (1: all the same).",
            axis="cost",
        ),
    )


def warnings(
    logged: Mapping[str, list[float]], num_levels: int, settings: VoCoSettings
) -> dict[str, str]:
    """A collapse, and a loss that stays where it tells no place.

    Args:
        logged: lists with one value per epoch, by name.
        num_levels: levels of the pyramid.
        settings: of the run.

    Returns:
        Texts, each with a remedy, by kind of warning; empty if all is well.
    """
    spreads = state_of(num_levels, settings).spreads
    remedy = 'Another "initial_lr", a larger "batch_size" or weaker intensity changes may help'
    found = checks.collapse(logged, spreads, f"{remedy}.")
    constant = last_finite(finished(logged, "val_intra_of_constant"))
    if not settings.intra_weight or constant is None:
        return found
    watched = checks.Watched(
        "val_intra", "the placing of crops", SETTLED * constant, constant=constant
    )
    remedy += '; so do fewer cells ("grid"), and images that lie alike.'
    return found | checks.plateau(logged, watched, settings.num_epochs, remedy)


def orientation_remark(reader: str, settings: VoCoSettings) -> dict[str, str]:
    """That images may lie differently, where the reader leaves them as they are."""
    if reader not in UNORIENTED_READERS or not settings.inter_weight:
        return {}
    return {
        "orientation": f"VoCo's inter term compares places across images, and {reader} leaves "
        f"images as they lie. Where they lie differently, plan with "
        f'"overwrite_image_reader_writer": "{reader}WithReorient" in dataset.json, or set '
        f'"inter_weight" to 0.'
    }


@torch.no_grad()
def pictures(
    network: VoCoNetwork, objective: VoCoObjective, drawn: DrawnCrops, views: Mapping[str, Tensor]
) -> Pictures:
    """The first query, the base crop it overlaps most, the one it resembles most, and all overlaps.

    Args:
        network: in evaluation mode.
        objective: of the validation.
        drawn: the crops.
        views: of one image.
    """
    pooled = {}
    for each in objective.passes:
        crops = each.of(views).flatten(0, 1)
        pyramid = getattr(network, each.backbone)(crops)
        pooled[each.name] = {k: global_average_pool(pyramid[k])[:, None] for k in each.levels}
    student, teacher = objective.embedded(network, pooled)
    predicted = objective.similarity(student, teacher)[0].float().cpu()
    nearest = int(cosines(student.queries, teacher.bases)[0, 0].argmax())
    overlaps = views["overlaps"][:, 0].float().cpu()
    bases = views["bases"][:, 0].cpu()
    names = tuple(str(number + 1) for number in range(len(bases)))
    queries = tuple(f"q{number + 1}" for number in range(len(overlaps)))
    return Pictures(
        drawn.queries[0].place.box,
        (
            Column("query 1", views["queries"][0, 0].cpu()),
            Column("base crop of most overlap", bases[int(overlaps[0].argmax())]),
            Column("most similar base crop", bases[nearest]),
        ),
        matrices=(
            Matrix("true overlap", overlaps, queries, names),
            Matrix("similarity", predicted, queries, names),
        ),
        box_names={"base crops": names, "queries": queries},
    )


def summarised(
    means: Mapping[str, float], names: Sequence[str] = ("positive", "negative")
) -> dict[str, float]:
    """Adds the intra term of a constant similarity, and the network's relative to it."""
    if not all(f"{name}_of_constant" in means for name in names):
        return dict(means)
    constant = sum(means[f"{name}_of_constant"] for name in names)
    relative = means["intra"] / max(constant, 1e-12)
    return {**means, "intra_of_constant": constant, "intra_relative": relative}
