"""The network of PCRLv1: the planned one, its teacher, projections, gate, and a queue of keys."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nnunetv2_pcrl.methods.pcrlv1.settings import PCRLv1Settings
from nnunetv2_pcrl.networks.encoder import Encoder, encoder_stages
from nnunetv2_pcrl.networks.heads import RestorationHead
from nnunetv2_pcrl.networks.momentum import copy_without_gradient
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.networks.projector import Projector
from nnunetv2_pcrl.networks.pyramid import stage_strides
from nnunetv2_pcrl.networks.skip import SkipUNet, decoded

_GATE_WIDTH = 256


class EncodedUNet(SkipUNet):
    """The planned network as a pyramid of its encoder's stages, which can be decoded afterwards.

    Attributes:
        level_channels: channels of each stage of the encoder, low to high resolution.
        level_strides: total stride of each of them per axis against the input.
    """

    def __init__(self, network: nn.Module):
        super().__init__(network)
        self.level_channels = tuple(int(c) for c in reversed(self.encoder.output_channels))
        self.level_strides = tuple(reversed(stage_strides(self.encoder.strides)))

    def forward(self, x: Tensor, highest: int | None = None) -> list[Tensor]:
        """The stages of the encoder, see `Pyramid`."""
        stages = list(encoder_stages(self.encoder, x))[::-1]
        return stages if highest is None else stages[: highest + 1]

    def decoded(self, pyramid: list[Tensor]) -> Tensor:
        """The decoder's last feature map of a whole pyramid."""
        return decoded(self.transpconvs, self.stages, pyramid[::-1])[-1]


class Gate(nn.Module):
    """A transform's code as factors of the bottleneck's channels, each in (0, 1)."""

    def __init__(self, num_bits: int, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_bits, _GATE_WIDTH),
            nn.ReLU(),
            nn.Linear(_GATE_WIDTH, channels),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        """Features [B, C, ...] times what their codes [B, bits] say."""
        factors = self.layers(codes)
        gated: Tensor = features * factors.view(*factors.shape, *[1] * (features.ndim - 2))
        return gated


class Projection(Projector):
    """Pooled features of all stages to embeddings of length 1.

    Behind an instance normalisation the pooled bottleneck alone hardly says which image it is.
    """

    def forward(self, features: Tensor, factors: Tensor | None = None) -> Tensor:
        """Pooled features [V, B, C] of one population of views to [V, B, F], V * B >= 2."""
        return F.normalize(super().forward(features, factors), dim=2)


class KeyQueue(nn.Module):
    """The newest keys of earlier steps, the oldest of which give way.

    Attributes:
        keys: of length 1, [K, F]; 0 where none has come yet.
        position: where the next key goes.
        count: of keys that have come, K at most.
    """

    keys: Tensor
    position: Tensor
    count: Tensor

    def __init__(self, size: int, embedding_size: int):
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, embedding_size))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        # Of the step that is being computed. No state: a checkpoint is written between two steps.
        self._fresh: Tensor | None = None

    @property
    def known(self) -> Tensor:
        """The keys that have come, [count, F]. They are told apart from nothing else.

        Random keys in the place of those to come would teach all images the same embedding, as it
        is the easiest to tell from them.
        """
        return self.keys[: int(self.count)]

    def remember(self, keys: Tensor) -> None:
        """Keeps the keys [N, F] of this step, of all processes, until it has updated the weights.

        Until then they are no negatives: those of a step are none of its own.
        """
        self._fresh = keys.detach().clone()

    @torch.no_grad()
    def advance(self) -> None:
        """Takes in the keys that were kept, in the place of the oldest ones."""
        if self._fresh is None:
            return
        steps = torch.arange(len(self._fresh), device=self.keys.device)
        places = (self.position + steps) % len(self.keys)
        self.keys[places] = self._fresh.to(self.keys.dtype)
        self.position.copy_((self.position + len(self._fresh)) % len(self.keys))
        self.count.copy_((self.count + len(self._fresh)).clamp_max(len(self.keys)))
        self._fresh = None


class PCRLv1Network(PretrainingNetwork):
    """Student, teacher, and what compares and restores.

    Attributes:
        backbone: the student, planned encoder and decoder.
        projection: of the student's pooled stages.
        gate: of the bottleneck by a transform's code.
        restoration: of the decoder's last map.
        teacher: a slow copy of the encoder, a pyramid, without gradient.
        teacher_projection: likewise.
        queue: of the teacher's keys.
    """

    backbone: EncodedUNet

    def __init__(
        self, planned: nn.Module, num_image_channels: int, num_bits: int, settings: PCRLv1Settings
    ):
        super().__init__()
        self.backbone = EncodedUNet(planned)
        lowest, *_, highest = self.backbone.level_channels
        self.projection = Projection(
            sum(self.backbone.level_channels), settings.hidden_size, settings.embedding_size
        )
        self.gate = Gate(num_bits, lowest)
        conv_op = self.backbone.encoder.conv_op
        self.restoration = RestorationHead(conv_op, highest, num_image_channels)
        self.teacher = copy_without_gradient(Encoder(planned))
        self.teacher_projection = copy_without_gradient(self.projection)
        self.queue = KeyQueue(settings.queue_size, settings.embedding_size)

    def restored(self, pyramid: list[Tensor], bottleneck: Tensor) -> Tensor:
        """What the decoder makes of a bottleneck and the skips of a pyramid."""
        restored: Tensor = self.restoration(self.backbone.decoded([bottleneck, *pyramid[1:]]))
        return restored

    def mixed(
        self, pyramid: list[Tensor], other: list[Tensor], codes: Tensor, mix: Tensor
    ) -> list[Tensor]:
        """Student's and teacher's features of two views, mixed at every stage.

        Args:
            pyramid: the student's of the first view.
            other: the teacher's of the second view.
            codes: of both views, [2, B, bits]; each gates its own bottleneck.
            mix: part of the first view, [B, 1].
        """
        first = [self.gate(pyramid[0], codes[0]), *pyramid[1:]]
        second = [self.gate(other[0], codes[1]), *other[1:]]
        return [blended(a, b, mix) for a, b in zip(first, second, strict=True)]


def blended(first: Tensor, second: Tensor, mix: Tensor) -> Tensor:
    """The part `mix` [B, 1] of the first [B, C, ...], and the rest of the second."""
    part = mix.view(-1, *[1] * (first.ndim - 1)).to(first.dtype)
    return part * first + (1 - part) * second.to(first.dtype)
