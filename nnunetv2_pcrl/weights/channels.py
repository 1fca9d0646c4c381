"""Input channels: from the channels that the pretraining saw to those of the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class InputChannels:
    """What is known of the input channels of file and network.

    Attributes:
        file_names: channel names of the pretraining, e.g. ("T1", "FLAIR"); None if unknown.
        network_names: names of the target's image channels; None if unknown.
        num_extra: channels of the network that are no image channels (the segmentation of the
            previous stage of a cascade); they come last and start at zero.
    """

    file_names: tuple[str, ...] | None = None
    network_names: tuple[str, ...] | None = None
    num_extra: int = 0


def fit_input_channels(
    weight: Tensor, num_channels: int, channels: InputChannels
) -> tuple[Tensor, str]:
    """Maps the weights of the first convolution onto other input channels.

    Every channel of the file hands its whole weight on, in equal parts to the channels that take
    it. So the weights of all channels have the same sum as before, and an image whose channels are
    all equal gets the response that it had.

    Args:
        weight: shape [F, C, k...].
        num_channels: input channels of the network, extra ones included.
        channels: names and number of extra channels.

    Returns:
        Weight of shape [F, num_channels, k...], and how it was made ("" if it is as it was).
    """
    num_image_channels = num_channels - channels.num_extra
    shares, how = channel_shares(weight.shape[1], num_image_channels, channels)
    fitted = torch.einsum("fc...,nc->fn...", weight, shares.to(weight))
    if channels.num_extra:
        zeros = fitted.new_zeros(weight.shape[0], channels.num_extra, *weight.shape[2:])
        fitted = torch.cat([fitted, zeros], dim=1)
        how = ", ".join(filter(None, [how, f"{channels.num_extra} extra input channels at zero"]))
    return fitted, how


def channel_shares(num_file: int, num_network: int, channels: InputChannels) -> tuple[Tensor, str]:
    """Which part of each channel of the file goes to which channel of the network.

    1 -> N repeats, N -> 1 sums. Otherwise channels of equal name are paired where both sides name
    all of theirs, and the rest go round in order.

    Returns:
        Matrix of shape [num_network, num_file] whose columns sum to 1, and how it was made.
    """
    names = _common_names(num_file, num_network, channels)
    takers: list[list[int]] = [[] for _ in range(num_file)]
    for network_channel, file_channel in names.items():
        takers[file_channel].append(network_channel)
    free_network = [n for n in range(num_network) if n not in names]
    free_file = [f for f in range(num_file) if not takers[f]]
    givers = free_file or list(range(num_file))
    for count, network_channel in enumerate(free_network):
        takers[givers[count % len(givers)]].append(network_channel)
    receivers = free_network or list(range(num_network))
    for count, file_channel in enumerate(free_file):
        if not takers[file_channel]:
            takers[file_channel].append(receivers[count % len(receivers)])
    shares = torch.zeros(num_network, num_file, dtype=torch.float64)
    for file_channel, takers_of_it in enumerate(takers):
        for network_channel in takers_of_it:
            shares[network_channel, file_channel] = 1 / len(takers_of_it)
    if torch.equal(shares, torch.eye(num_network, num_file, dtype=shares.dtype)):
        return shares, ""
    by = "by name" if names else "cyclic"
    return shares, f"input channels {num_file} -> {num_network}, {by}"


def channel_names_of(dataset_json: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Channel names in nnU-Net's dataset.json, in the order of the channels; None without any."""
    return ordered_names(dataset_json.get("channel_names") or dataset_json.get("modality"))


def ordered_names(channel_names: Mapping[str, str] | None) -> tuple[str, ...] | None:
    """Names in the order of the channels, from nnU-Net's {"0": "T1", ...}; None without any."""
    if not channel_names:
        return None
    return tuple(str(channel_names[key]) for key in sorted(channel_names, key=int))


def _common_names(num_file: int, num_network: int, channels: InputChannels) -> dict[int, int]:
    """Channel of the network -> channel of the file of the same name."""
    if min(num_file, num_network) == 1:
        return {}
    file_names = _usable(channels.file_names, num_file)
    network_names = _usable(channels.network_names, num_network)
    return {n: file_names.index(name) for n, name in enumerate(network_names) if name in file_names}


def _usable(names: Sequence[str] | None, num_channels: int) -> list[str]:
    """Lower-case names, or none where they are not one distinct name per channel."""
    lower = [name.strip().lower() for name in names or ()]
    return lower if len(lower) == num_channels == len(set(lower)) else []
