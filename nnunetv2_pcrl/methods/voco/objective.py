"""The loss of one VoCo step, and what its validation watches besides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nnunetv2_pcrl.losses.similarity import feature_spread
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass, Pooled
from nnunetv2_pcrl.methods.voco.loss import (
    constant_similarity,
    cosines,
    negative,
    of_next_image,
    positive,
    regulariser,
    similarities,
)
from nnunetv2_pcrl.methods.voco.network import VoCoNetwork
from nnunetv2_pcrl.methods.voco.settings import Form
from nnunetv2_pcrl.monitoring.representation import effective_rank
from nnunetv2_pcrl.monitoring.vocabulary import of_level
from nnunetv2_pcrl.networks.projector import joined_levels
from nnunetv2_pcrl.views.seeding import seeded_generator

CROPS = ("queries", "bases")


@dataclass(frozen=True)
class FeatureDropout:
    """Features that the student does not see, drawn for every crop.

    Attributes:
        part: of the features.
        seed: of the draw.

    The authors' nn.Dropout1d takes rows for channels and drops whole crops.
    """

    part: float
    seed: int

    def factors(self, like: Tensor) -> Tensor:
        """0 for dropped features and 1 / (1 - part) for others, in the shape of features."""
        drawn = torch.rand(like.shape, generator=seeded_generator(self.seed))
        return (drawn >= self.part).to(like) / (1 - self.part)


@dataclass(frozen=True)
class Crops:
    """Embeddings of the crops of every image.

    Attributes:
        queries: shape [B, Q, F].
        bases: shape [B, N, F].
    """

    queries: Tensor
    bases: Tensor


@dataclass(frozen=True)
class VoCoObjective(Objective[VoCoNetwork]):
    """Similarities of crops are to be their overlaps, in the image and across images.

    tpami: s = c(P(D f(q)), P'(f(b))) with the projector P, the teacher P' and dropped features D.
    With the base crops of the next image no overlap is known; the teacher's similarity stands for
    it. cvpr: s is the mean of c(P f(q), P' f'(b)) and c(P' f'(q), P f(b)), with a teacher f' too.

    All crops of the batch are one population of the projector's normalisation.

    Attributes:
        form: of the method.
        weights: of the terms.
        num_levels: of the pyramid; all are read.
        dropout: of the student's features; None for none.

    Source: Wu et al. 2024 and 2025 (VoCo).
    """

    form: Form
    weights: Mapping[str, float]
    num_levels: int
    dropout: FeatureDropout | None = None
    tables: ClassVar[tuple[str, ...]] = ("overlaps",)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Queries and base crops; in the conference's form through the teacher, too."""
        every = frozenset(range(self.num_levels))
        passes = tuple(Pass(name, name, levels=every) for name in CROPS)
        if self.form == "tpami":
            return passes
        teachers = (
            Pass(_of_teacher(name), name, levels=every, backbone="teacher_backbone")
            for name in CROPS
        )
        return (*passes, *teachers)

    def of_batch(self, network: VoCoNetwork, pooled: Pooled, tables: Batch) -> Numbers:
        """The terms, and the two parts of the intra term."""
        student, teacher = self.embedded(network, pooled)
        overlap = tables["overlaps"].movedim(0, 1)
        intra = self.similarity(student, teacher)
        parts = {
            "positive": positive(intra, overlap),
            "negative": negative(intra, overlap, self.form),
        }
        numbers = {
            "intra": parts["positive"] + parts["negative"],
            **{name: value.detach() for name, value in parts.items()},
            "regulariser": regulariser(student.bases),
        }
        if self.weights.get("inter"):
            label = similarities(teacher.queries, of_next_image(teacher.bases))
            predicted = similarities(student.queries, of_next_image(student.bases))
            numbers["inter"] = positive(predicted, label) + negative(predicted, label, self.form)
        return numbers

    def embedded(self, network: VoCoNetwork, pooled: Pooled) -> tuple[Crops, Crops]:
        """Embeddings of the student, and of the teacher, whose gradient is stopped."""
        features = torch.cat([joined_levels(pooled[name]) for name in CROPS])
        factors = None if self.dropout is None else self.dropout.factors(features)
        of_teacher = features
        if self.form == "cvpr":
            of_teacher = torch.cat([joined_levels(pooled[_of_teacher(name)]) for name in CROPS])
        num_queries = len(next(iter(pooled["queries"].values())))
        student = _crops(network.student(features, factors), num_queries)
        with torch.no_grad():
            teacher = _crops(network.teacher(of_teacher), num_queries)
        return student, teacher

    def similarity(self, student: Crops, teacher: Crops) -> Tensor:
        """Similarities of the image's own crops, shape [B, Q, N], in [0, 1]."""
        found = similarities(student.queries, teacher.bases)
        if self.form == "tpami":
            return found
        return (found + similarities(teacher.queries, student.bases)) / 2


@dataclass(frozen=True)
class VoCoEvaluation(VoCoObjective):
    """The same without dropped features, and how well queries are placed."""

    @torch.no_grad()
    def of_batch(self, network: VoCoNetwork, pooled: Pooled, tables: Batch) -> Numbers:
        """Besides the terms, what tells crops apart, and what a constant similarity costs."""
        numbers = super().of_batch(network, pooled, tables)
        student, teacher = self.embedded(network, pooled)
        overlap = tables["overlaps"].movedim(0, 1)
        of_constant = constant_similarity(overlap, self.form)
        found = cosines(student.queries, teacher.bases)
        chosen = overlap.gather(2, found.argmax(dim=2, keepdim=True))[..., 0]
        best = found.gather(2, overlap.argmax(dim=2, keepdim=True))
        numbers |= {
            "positive_of_constant": of_constant[0],
            "negative_of_constant": of_constant[1],
            "placed": (chosen == overlap.amax(dim=2)).to(found).mean(),
            "cosine_matching": best.mean(),
            "cosine_other": _mean_where(found, overlap == 0),
            "effective_rank": effective_rank(student.bases.flatten(0, 1)).to(found),
        }
        for level, features in pooled["bases"].items():
            spread = feature_spread(features.flatten(0, 1))
            numbers[of_level("feature_spread", level)] = spread
        return numbers


def _crops(embeddings: Tensor, num_queries: int) -> Crops:
    of_images = embeddings.movedim(0, 1)
    return Crops(of_images[:, :num_queries], of_images[:, num_queries:])


def _of_teacher(name: str) -> str:
    return f"{name} of the teacher"


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp_min(1)
