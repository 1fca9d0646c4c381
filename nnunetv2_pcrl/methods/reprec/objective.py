"""The loss of one RepRec-style step: contrast, or recovery of hidden representations."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nnunetv2_pcrl.methods import image_contrast
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass, Pooled
from nnunetv2_pcrl.methods.reprec.network import RepRecNetwork, tokens_of


def representations(features: Tensor) -> Tensor:
    """What is to be recovered: tokens [B, tokens, C], each normalised over its channels.

    Source: Baevski et al. 2022 (data2vec).
    """
    tokens = tokens_of(features)
    tokens = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
    return F.layer_norm(tokens, tokens.shape[2:])


def recovery_error(recovered: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error over hidden tokens and channels, a mean over images of each one's own.

    Args:
        recovered, target: [B, tokens, C].
        hidden: 1 where a token is hidden, [B, tokens, 1]; every image has one.
    """
    errors = (recovered.to(target.dtype) - target).square().mean(dim=2, keepdim=True) * hidden
    return (errors.flatten(1).sum(dim=1) / hidden.flatten(1).sum(dim=1)).mean()


def token_variance(target: Tensor) -> Tensor:
    """What the mean token of each image would cost: the variance over its tokens [B, tokens, C]."""
    return target.var(dim=1, unbiased=False).mean()


@dataclass(frozen=True)
class RepRecObjective(Objective[RepRecNetwork]):
    """Contrast of two views, recovery of hidden tokens of the first, or both.

    Attributes:
        weights: of the terms `contrast` and `recovery`; one without weight is not computed.
        temperature: of the contrast.
        num_levels: of the pyramid.
    """

    weights: Mapping[str, float]
    temperature: float
    num_levels: int

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Both views together for the contrast, the masked one for the recovery."""
        recovery = Pass("masked", "masked", maps=True)
        wanted = {"contrast": image_contrast.views_pass(self.num_levels), "recovery": recovery}
        return tuple(each for term, each in wanted.items() if self.weights.get(term))

    def of_views(
        self, network: RepRecNetwork, name: str, pyramid: list[Tensor], batch: Batch
    ) -> Numbers:
        """The recovery of what the teacher says of the same view when it sees all of it."""
        hidden = batch["hidden"][0]
        with torch.no_grad():
            target = representations(network.teacher(batch["views"][0], 0)[0])
        recovered = network.predictor(pyramid[0], hidden)
        return {
            "recovery": recovery_error(recovered, target, tokens_of(hidden)),
            "token_variance": token_variance(target),
        }

    def of_batch(self, network: RepRecNetwork, pooled: Pooled, tables: Batch) -> Numbers:
        """The contrast of all images."""
        return image_contrast.contrast(network.projector, pooled["views"], self.temperature)


@dataclass(frozen=True)
class RepRecEvaluation(RepRecObjective):
    """The same, with the state of the representation."""

    def of_batch(self, network: RepRecNetwork, pooled: Pooled, tables: Batch) -> Numbers:
        """Besides the contrast, how well embeddings tell images apart."""
        return image_contrast.contrast_and_state(
            network.projector, pooled["views"], self.temperature
        )
