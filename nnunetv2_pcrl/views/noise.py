"""Noise as a function of a key and of the voxel's number, equal on every device.

A generator of the CPU would have to send its noise to the GPU, and a generator of the GPU draws
other numbers. Here integers are hashed (exact everywhere) and turned into normal values; on a CPU
this takes as long as drawing them from a generator.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Odd, near 2**32 over the golden ratio: neighbouring numbers lie far apart.
_STEP = -1640531527
_KEY_OF_CHANNEL = 0x85EBCA6B
# On a CPU, as many pairs of values at a time as fit into its second-level cache with all
# intermediate results.
_PAIRS_AT_A_TIME = 2**16


def noise_key(seed: int, channel: int) -> int:
    """Key of the noise of one channel, in the range of int32.

    Args:
        seed: of the view, 0..2**31 - 1.
        channel: its number.
    """
    return ((seed ^ (channel * _KEY_OF_CHANNEL)) + 2**31) % 2**32 - 2**31


def add_noise_(views: Tensor, keys: Tensor, stds: Tensor) -> None:
    """Adds normally distributed noise in place.

    Args:
        views: shape [V, C, (D,) H, W], contiguous.
        keys: int32, shape [V, C]; equal keys give equal noise.
        stds: standard deviations, shape [V, C].

    Source: Box and Muller 1958; each pair of values comes from one hash, 16 bits for the radius
        and 16 for the angle, so no value exceeds 4.9 standard deviations.
    """
    flat = views.view(*views.shape[:2], -1)
    num_pairs = -(-flat.shape[-1] // 2)
    cosines, sines = flat[..., :num_pairs], flat[..., num_pairs:]
    factors = (-2 * stds.float() ** 2)[..., None]
    step = num_pairs if views.is_cuda else _PAIRS_AT_A_TIME
    for first in range(0, num_pairs, step):
        last = min(first + step, num_pairs)
        bits = hashes(keys, first, last)
        radii = bits.bitwise_and(0xFFFF).float().add_(0.5).div_(2**16)
        radii = radii.log_().mul_(factors).sqrt_().to(views.dtype)
        angles = bits.bitwise_right_shift_(16).float().mul_(math.pi / 2**15).to(views.dtype)
        cosines[..., first:last].addcmul_(radii, angles.cos())
        part = sines[..., first:last]
        # Of an odd number of values the last one has no partner.
        size = part.shape[-1]
        part.addcmul_(radii[..., :size], angles[..., :size].sin_())


def uniform_noise(shape: Sequence[int], keys: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Noise that is uniform over a range.

    Args:
        shape: [C, (D,) H, W].
        keys: int32 [C]; equal keys give equal noise.
        low, high: of every channel, [C].
    """
    volume = math.prod(shape[1:])
    noise = torch.empty(len(keys), volume, device=keys.device)
    start, factors = low.float()[:, None], (high - low).float()[:, None] / 2**24
    step = volume if noise.is_cuda else 2 * _PAIRS_AT_A_TIME
    for first in range(0, volume, step):
        last = min(first + step, volume)
        # As many bits as single precision holds.
        bits = hashes(keys, first, last).bitwise_and_(2**24 - 1)
        torch.addcmul(start, bits.float(), factors, out=noise[:, first:last])
    return noise.view(tuple(shape)).to(low.dtype)


def hashes(keys: Tensor, first: int, last: int) -> Tensor:
    """Unrelated 32-bit numbers for the numbers from first to last - 1.

    Args:
        keys: int32 [...].
        first, last: of the numbers.

    Returns:
        Int32 [..., last - first]; other keys give other numbers.
    """
    numbers = torch.arange(first, last, dtype=torch.int32, device=keys.device)
    return _hashed_(numbers.mul_(_STEP).bitwise_xor(keys[..., None]))


def _hashed_(bits: Tensor) -> Tensor:
    """Mixes int32 in place so that every bit depends on all; products wrap around.

    Source: the 32-bit mixer "lowbias32" of C. Wellons, "Prospecting for Hash Functions" (2018).
    """
    spare = torch.empty_like(bits)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B - 2**32), (16, None)):
        # The shift of a signed number drags its sign along: cut it off.
        torch.bitwise_right_shift(bits, shift, out=spare)
        bits.bitwise_xor_(spare.bitwise_and_(2 ** (32 - shift) - 1))
        if factor is not None:
            bits.mul_(factor)
    return bits
