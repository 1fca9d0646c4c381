"""The network of RepRec-style pretraining: encoder, teacher, projector, transformer."""

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.methods.reprec.settings import HEAD_WIDTH, RepRecSettings
from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.networks.momentum import copy_without_gradient
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.networks.projector import Projector

# Of the slowest wave of the positions, in tokens; beyond any grid.
_LONGEST_WAVE = 1e4


class RepRecNetwork(PretrainingNetwork):
    """The planned encoder and what learns with it; the encoder alone is kept.

    Attributes:
        backbone: the encoder, a pyramid of its stages.
        teacher: its slow copy, without gradient.
        projector: of the contrast.
        predictor: recovers hidden tokens of the bottleneck.
    """

    backbone: Encoder

    def __init__(self, planned: nn.Module, settings: RepRecSettings):
        super().__init__()
        self.backbone = Encoder(planned)
        channels = self.backbone.level_channels
        self.projector = Projector(sum(channels), settings.hidden_size, settings.embedding_size)
        self.predictor = TokenPredictor(
            channels[0], settings.predictor_width, settings.predictor_depth
        )
        self.teacher = copy_without_gradient(self.backbone)


class TokenPredictor(nn.Module):
    """A transformer that sees the visible tokens and says what the hidden ones are.

    Hidden tokens are replaced by one learned token before anything is computed from them; every
    token knows its place.
    """

    def __init__(self, channels: int, width: int, depth: int):
        super().__init__()
        self.width = width
        self.enter = nn.Linear(channels, width)
        self.hidden_token = nn.Parameter(torch.empty(width))
        nn.init.trunc_normal_(self.hidden_token, std=0.02)
        layer = nn.TransformerEncoderLayer(
            width,
            width // HEAD_WIDTH,
            4 * width,
            # Or passes with and without gradient, and processes, would not agree.
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, depth, nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.leave = nn.Linear(width, channels)

    def forward(self, features: Tensor, hidden: Tensor) -> Tensor:
        """Recovered tokens.

        Args:
            features: bottleneck of the masked view, [B, C, (d,) h, w].
            hidden: 1 where a token is hidden, [B, 1, (d,) h, w].

        Returns:
            Shape [B, tokens, C].
        """
        tokens = self.enter(tokens_of(features))
        is_hidden = tokens_of(hidden) > 0.5
        tokens = torch.where(is_hidden, self.hidden_token.to(tokens.dtype), tokens)
        places = positions(features.shape[2:], self.width).to(tokens)
        recovered: Tensor = self.leave(self.layers(tokens + places))
        return recovered


def tokens_of(maps: Tensor) -> Tensor:
    """[B, C, (d,) h, w] as one row per place, [B, tokens, C]."""
    return maps.flatten(2).transpose(1, 2)


def positions(grid: tuple[int, ...], width: int) -> Tensor:
    """Sines and cosines of the places of a grid, for every axis on channels of its own.

    Args:
        grid: tokens per axis.
        width: channels; what does not divide by twice the number of axes stays 0.

    Returns:
        Shape [tokens, width], in single precision.

    Source: Vaswani et al. 2017, there for one axis.
    """
    num_waves = width // (2 * len(grid))
    waves = _LONGEST_WAVE ** -(torch.arange(num_waves) / num_waves)
    axes = torch.meshgrid(*(torch.arange(size) for size in grid), indexing="ij")
    angles = [axis.flatten()[:, None] * waves for axis in axes]
    parts = [part for angle in angles for part in (angle.sin(), angle.cos())]
    table = torch.zeros(angles[0].shape[0], width)
    table[:, : 2 * num_waves * len(grid)] = torch.cat(parts, dim=1)
    return table
