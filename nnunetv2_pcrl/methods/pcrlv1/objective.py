"""The loss of one PCRLv1 step: contrast with a queue, and two restorations."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_pcrl.losses.info_nce import info_nce
from nnunetv2_pcrl.losses.restoration import in_units, restoration_error
from nnunetv2_pcrl.losses.similarity import feature_spread
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass, Pooled
from nnunetv2_pcrl.methods.pcrlv1.network import PCRLv1Network, blended
from nnunetv2_pcrl.monitoring.representation import representation_numbers
from nnunetv2_pcrl.monitoring.vocabulary import of_level
from nnunetv2_pcrl.networks.projector import joined_levels


@dataclass(frozen=True)
class PCRLv1Objective(Objective[PCRLv1Network]):
    """Contrast and restoration of the first view, with the teacher's view of the second.

    Attributes:
        weights: of the terms.
        temperature: of the contrast.
        num_levels: stages of the encoder; the contrast reads all of them.

    Source: Zhou et al. 2021 (PCRLv1), without its mixtures of images.
    """

    weights: Mapping[str, float]
    temperature: float
    num_levels: int

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The teacher's keys, then the student: its passes bring the restorations."""
        levels = frozenset(range(self.num_levels))
        return (
            Pass("keys", "views", 1, levels, backbone="teacher"),
            Pass("student", "views", 0, levels, maps=True),
        )

    def of_views(
        self, network: PCRLv1Network, name: str, pyramid: list[Tensor], batch: Batch
    ) -> Numbers:
        """Both restorations, and the mean variance of the targets."""
        first, second = (in_units(t, network.restoration.stds) for t in batch["targets"])
        codes = batch["codes"]
        mix = batch["mix"][0]
        with torch.no_grad():
            other = network.teacher(batch["views"][1])
        plain = network.restored(pyramid, network.gate(pyramid[0], codes[0]))
        mixed = network.mixed(pyramid, other, codes, mix)
        together = network.restored(mixed, mixed[0])
        return {
            "restoration": restoration_error(plain.to(first.dtype), first),
            "mixed_restoration": restoration_error(
                together.to(first.dtype), blended(first, second, mix)
            ),
            "target_variance": first.flatten(2).var(dim=2, unbiased=False).mean(),
        }

    def of_batch(self, network: PCRLv1Network, pooled: Pooled, tables: Batch) -> Numbers:
        """The contrast; the keys of all images are handed to the queue."""
        queries, keys = self._embedded(network, pooled)
        network.queue.remember(keys)
        return {"contrast": self._contrast(network, queries, keys)}

    def _embedded(self, network: PCRLv1Network, pooled: Pooled) -> tuple[Tensor, Tensor]:
        """The student's embeddings of the first views, the teacher's of the second ones."""
        with torch.no_grad():
            keys = network.teacher_projection(joined_levels(pooled["keys"]))[0]
        return network.projection(joined_levels(pooled["student"]))[0], keys

    def _contrast(self, network: PCRLv1Network, queries: Tensor, keys: Tensor) -> Tensor:
        return info_nce(queries, keys, network.queue.known, self.temperature)


@dataclass(frozen=True)
class PCRLv1Evaluation(PCRLv1Objective):
    """The same without a trace in the queue, and the state of the representation."""

    @torch.no_grad()
    def of_batch(self, network: PCRLv1Network, pooled: Pooled, tables: Batch) -> Numbers:
        """Besides the contrast, how well embeddings tell images apart."""
        queries, keys = self._embedded(network, pooled)
        num_candidates = len(network.queue.known) + len(keys)
        return {
            "contrast": self._contrast(network, queries, keys),
            "contrast_of_alike": keys.new_tensor(num_candidates).log(),
            **representation_numbers((queries, queries), (keys, keys), keys),
            **{
                of_level("feature_spread", level): feature_spread(features[0])
                for level, features in pooled["student"].items()
            },
        }
