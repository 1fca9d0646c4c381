"""Corruption: works on a copy, does what was drawn, and nothing where a range is zero."""

import dataclasses
import math

import pytest
import torch

from nnunetv2_pcrl.views import corruption as corruption_module
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.corruption import (
    Corruption,
    CorruptionRanges,
    corrupt_,
    draw_corruption,
    prepare_corruption,
)
from nnunetv2_pcrl.views.devices import on_device

pytestmark = pytest.mark.usefixtures("one_thread")

NOTHING = CorruptionRanges(
    swapped_part=0.0,
    patch_part=0.1,
    num_cut_outs=0,
    cut_out_part=1 / 7,
    blur_sigma=0.0,
    noise_std=0.0,
    log_gamma=0.0,
    contrast=0.0,
)
EVERYTHING = CorruptionRanges(
    swapped_part=0.2,
    patch_part=0.1,
    num_cut_outs=3,
    cut_out_part=1 / 7,
    blur_sigma=2.0,
    noise_std=0.25,
    log_gamma=0.3,
    contrast=0.4,
)
SIZES = [
    pytest.param((40, 48), id="2d"),
    pytest.param((24, 20, 28), id="3d"),
    pytest.param((8, 40, 48), id="anisotropic"),
    pytest.param((1, 24, 24), id="one slice"),
]


def noise_view(size, channels: int = 3) -> torch.Tensor:
    return 2 * torch.randn(channels, *size, generator=torch.Generator().manual_seed(1)) - 1


def corrupt(view, corruption):
    """One view, corrupted on a copy."""
    corrupted = view.clone(memory_format=torch.contiguous_format)[None]
    prepared = prepare_corruption([corruption], view.shape[1:])
    corrupt_(corrupted, on_device(prepared, view.device))
    return corrupted[0]


def untouched(channels: int, **changes) -> Corruption:
    """A corruption that does nothing but the given changes."""
    identity = Corruption(
        swaps=(),
        cut_outs=(),
        blur_sigmas=(0.0,) * channels,
        noise_stds=(0.0,) * channels,
        gammas=(1.0,) * channels,
        contrasts=(1.0,) * channels,
        noise_seed=0,
        sources=tuple(range(channels)),
    )
    return dataclasses.replace(identity, **changes)


def blurred(channel: torch.Tensor, sigma: float) -> torch.Tensor:
    return corrupt(channel[None], untouched(1, blur_sigmas=(sigma,)))[0]


def with_gamma(channel: torch.Tensor, gamma: float) -> torch.Tensor:
    return corrupt(channel[None], untouched(1, gammas=(gamma,)))[0]


def swapped(view: torch.Tensor, swaps) -> torch.Tensor:
    return corrupt(view, untouched(view.shape[0], swaps=tuple(swaps)))


def touched_part(corruption: Corruption, size) -> float:
    """Part of the voxels that lie in some swapped patch."""
    touched = torch.zeros(size, dtype=torch.bool)
    for a, b in corruption.swaps:
        touched[a.slices] = True
        touched[b.slices] = True
    return touched.float().mean().item()


# Target and input


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ranges", [NOTHING, EVERYTHING], ids=["nothing", "everything"])
def test_the_clean_view_is_left_as_it_is_and_shares_no_storage_with_the_input(
    size, ranges, generator
):
    view = noise_view(size)
    before = view.clone()
    corrupted = corrupt(view, draw_corruption(size, Channels.unmeasured(3), ranges, generator))
    assert torch.equal(view, before)
    assert corrupted.untyped_storage().data_ptr() != view.untyped_storage().data_ptr()
    corrupted.fill_(7.0)
    assert torch.equal(view, before)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(CorruptionRanges)])
def test_no_single_corruption_works_on_the_clean_view(name, generator):
    ranges = dataclasses.replace(NOTHING, **{name: getattr(EVERYTHING, name)})
    view = noise_view((20, 24))
    before = view.clone()
    corrupt(view, draw_corruption((20, 24), Channels.unmeasured(3), ranges, generator))
    assert torch.equal(view, before)


@pytest.mark.parametrize("size", SIZES)
def test_a_part_of_a_larger_tensor_is_corrupted_like_a_tensor_of_its_own(size, generator):
    large = noise_view(tuple(s + 3 for s in size))
    part = large[(slice(None), *(slice(2, s + 2) for s in size))]
    before = large.clone()
    corruption = draw_corruption(size, Channels.unmeasured(3), EVERYTHING, generator)
    torch.testing.assert_close(corrupt(part, corruption), corrupt(part.clone(), corruption))
    assert torch.equal(large, before)


@pytest.mark.parametrize("size", SIZES)
def test_zero_ranges_change_nothing(size, generator):
    view = noise_view(size)
    for _ in range(5):
        corrupted = corrupt(view, draw_corruption(size, Channels.unmeasured(3), NOTHING, generator))
        torch.testing.assert_close(corrupted, view, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_full_ranges_change_every_channel(size, generator):
    view = noise_view(size)
    corrupted = corrupt(view, draw_corruption(size, Channels.unmeasured(3), EVERYTHING, generator))
    assert corrupted.shape == view.shape
    assert torch.isfinite(corrupted).all()
    assert ((corrupted - view).abs().flatten(1).mean(1) > 0.1).all()


@pytest.mark.parametrize("size", SIZES)
def test_equal_draws_give_equal_views(size):
    view = noise_view(size)
    first, second = (
        draw_corruption(size, Channels.unmeasured(3), EVERYTHING, torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    assert first == second
    torch.manual_seed(1)
    expected = corrupt(view, first)
    torch.manual_seed(2)
    assert torch.equal(corrupt(view, second), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_of_the_view_is_kept(dtype, generator):
    view = noise_view((8, 20, 24)).to(dtype)
    corrupted = corrupt(
        view, draw_corruption((8, 20, 24), Channels.unmeasured(3), EVERYTHING, generator)
    )
    assert corrupted.dtype == dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("size", SIZES)
def test_a_view_corrupted_on_the_gpu_equals_the_one_corrupted_on_the_cpu(size, generator):
    view = noise_view(size)
    corruption = draw_corruption(size, Channels.unmeasured(3), EVERYTHING, generator)
    on_gpu = corrupt(view.cuda(), corruption)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), corrupt(view, corruption), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_views_corrupted_together_equal_each_alone_also_in_one_go_as_on_a_gpu(
    size, generator, monkeypatch
):
    corruptions = [
        draw_corruption(size, Channels.unmeasured(3), EVERYTHING, generator) for _ in range(3)
    ]
    views = torch.stack([noise_view(size) + number for number in range(3)])
    prepared = prepare_corruption(corruptions, size)
    together = views.clone()
    corrupt_(together, prepared)
    for result, view, corruption in zip(together, views, corruptions, strict=True):
        torch.testing.assert_close(result, corrupt(view, corruption), atol=1e-5, rtol=1e-5)
    at_once = views.clone()
    monkeypatch.setattr(corruption_module, "_parts", lambda _: [(slice(None), slice(None))])
    corrupt_(at_once, prepared)
    torch.testing.assert_close(at_once, together, atol=1e-4, rtol=1e-4)


# What is drawn


def test_as_many_voxels_are_swapped_as_in_the_authors_setting(generator):
    ranges = dataclasses.replace(NOTHING, swapped_part=0.2)
    for _ in range(5):
        corruption = draw_corruption((32, 64, 64), Channels.unmeasured(1), ranges, generator)
        assert 80 <= len(corruption.swaps) <= 130
        assert 0.14 < touched_part(corruption, (32, 64, 64)) < 0.21


@pytest.mark.parametrize("size", [(96, 96), (48, 48, 48), (8, 64, 64), (1, 64, 64)])
@pytest.mark.parametrize("part", [0.1, 0.2, 0.4])
def test_swaps_touch_the_wanted_part_less_what_overlaps(size, part, generator):
    ranges = dataclasses.replace(NOTHING, swapped_part=part)
    parts = [
        touched_part(draw_corruption(size, Channels.unmeasured(1), ranges, generator), size)
        for _ in range(5)
    ]
    # Random places cover 1 - exp(-part) of the view; the rim is covered less.
    expected = 1 - math.exp(-part)
    assert 0.8 * expected < sum(parts) / 5 < 1.1 * expected


@pytest.mark.parametrize("size", SIZES)
def test_patches_and_cut_outs_are_parts_of_the_side_and_lie_in_the_view(size, generator):
    view = Box((0,) * len(size), size)
    corruption = draw_corruption(size, Channels.unmeasured(2), EVERYTHING, generator)
    assert len(corruption.swaps) > 0
    assert len(corruption.cut_outs) == 3
    for box in (*(box for pair in corruption.swaps for box in pair), *corruption.cut_outs):
        assert view.contains(box)
    for side, limit in zip(corruption.swaps[0][0].size, size, strict=True):
        assert abs(side - 0.1 * limit) <= 0.5 or side == 1
    for side, limit in zip(corruption.cut_outs[0].size, size, strict=True):
        assert abs(side - limit / 7) <= 0.5 or side == 1


def test_intensities_are_drawn_per_channel_over_their_whole_ranges(generator):
    drawn = [
        draw_corruption((8, 8), Channels.unmeasured(4), EVERYTHING, generator) for _ in range(500)
    ]

    def check(name: str, low: float, high: float) -> None:
        values = torch.tensor([getattr(corruption, name) for corruption in drawn])
        assert values.shape == (500, 4)
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high
        assert (torch.corrcoef(values.T) - torch.eye(4)).abs().max() < 0.2

    check("blur_sigmas", 0, 2)
    check("noise_stds", 0, 0.25)
    check("gammas", math.exp(-0.3), math.exp(0.3))
    check("contrasts", 0.6, 1.4)
    assert len({corruption.noise_seed for corruption in drawn}) == 500


@pytest.mark.parametrize("size", SIZES)
def test_local_views_have_neither_swaps_nor_cut_outs_but_the_same_intensities(size, generator):
    local = EVERYTHING.of_local_views()
    corruption = draw_corruption(size, Channels.unmeasured(3), local, generator)
    assert corruption.swaps == ()
    assert corruption.cut_outs == ()
    for name in ("blur_sigma", "noise_std", "log_gamma", "contrast"):
        assert getattr(local, name) == getattr(EVERYTHING, name)


# Swaps and cut-outs


@pytest.mark.parametrize("size", SIZES)
def test_swaps_of_separate_patches_neither_make_nor_lose_values(size, generator):
    swaps = draw_corruption(size, Channels.unmeasured(3), EVERYTHING, generator).swaps
    view = noise_view(size)
    result = swapped(view, swaps)
    assert not torch.equal(result, view)
    for channel, original in zip(result, view, strict=True):
        assert torch.equal(channel.flatten().sort().values, original.flatten().sort().values)


@pytest.mark.parametrize("size", SIZES)
def test_swaps_move_all_channels_alike(size, generator):
    channel = noise_view(size, channels=1)
    view = torch.cat([channel, channel + 64, -channel])
    view = swapped(view, draw_corruption(size, Channels.unmeasured(3), EVERYTHING, generator).swaps)
    torch.testing.assert_close(view[1], view[0] + 64)
    torch.testing.assert_close(view[2], -view[0])


def test_a_swap_has_hand_derived_values():
    view = torch.arange(12.0).view(1, 2, 6)
    view = swapped(view, [(Box((0, 0), (2, 2)), Box((0, 3), (2, 2)))])
    expected = [[3.0, 4.0, 2.0, 0.0, 1.0, 5.0], [9.0, 10.0, 8.0, 6.0, 7.0, 11.0]]
    assert view[0].tolist() == expected


def test_swaps_are_done_one_after_the_other():
    view = torch.tensor([[1.0, 2.0, 3.0]])
    a, b, c = (Box((i,), (1,)) for i in range(3))
    view = swapped(view, [(a, b), (b, c)])
    assert view.tolist() == [[2.0, 3.0, 1.0]]


def test_patches_that_overlap_one_another_are_swapped_without_an_error():
    view = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    view = swapped(view, [(Box((0,), (2,)), Box((1,), (2,)))])
    assert view[0, 3] == 4.0
    assert set(view[0].tolist()) <= {1.0, 2.0, 3.0, 4.0}
    assert view[0, 1] in (1.0, 3.0)


@pytest.mark.parametrize("size", SIZES)
def test_cut_outs_are_filled_with_the_mean_of_their_channel(size, generator):
    view = noise_view(size)
    cut_outs = draw_corruption(size, Channels.unmeasured(3), EVERYTHING, generator).cut_outs
    corrupted = corrupt(view, untouched(3, cut_outs=cut_outs))
    filled = torch.zeros(size, dtype=torch.bool)
    for hole in cut_outs:
        filled[hole.slices] = True
    for channel, original in zip(corrupted, view, strict=True):
        torch.testing.assert_close(
            channel[filled], original.mean().expand(int(filled.sum())), atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(channel[~filled], original[~filled], atol=1e-5, rtol=1e-5)


# Blur


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0, 30.0])
def test_blur_keeps_a_constant(size, sigma):
    constant = torch.full(size, -3.5)
    torch.testing.assert_close(blurred(constant, sigma), constant)


@pytest.mark.parametrize("size", [(41, 45), (31, 33, 35), (25, 41, 45)])
@pytest.mark.parametrize("sigma", [0.8, 1.5, 2.0])
def test_blur_turns_an_impulse_into_a_gaussian_of_its_sigma(size, sigma):
    impulse = torch.zeros(size)
    centre = tuple(s // 2 for s in size)
    impulse[centre] = 1.0
    spread = blurred(impulse, sigma)
    assert spread.sum() == pytest.approx(1.0, abs=1e-5)
    for axis, middle in enumerate(centre):
        profile = spread.sum(dim=[a for a in range(len(size)) if a != axis])
        offsets = torch.arange(size[axis]) - middle
        assert (profile * offsets).sum().item() == pytest.approx(0.0, abs=1e-5)
        assert (profile * offsets**2).sum().sqrt().item() == pytest.approx(sigma, rel=0.03)
        # A Gaussian falls by exp(-1 / (2 sigma^2)) from its top to the next voxel.
        ratio = profile[middle + 1] / profile[middle]
        assert ratio.item() == pytest.approx(math.exp(-0.5 / sigma**2), rel=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_blur_stays_within_the_values_and_moves_them_together(size):
    view = noise_view(size, channels=1)[0]
    smooth = blurred(view, 1.5)
    assert view.min() <= smooth.min() <= smooth.max() <= view.max()
    assert smooth.std() < 0.5 * view.std()


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_repeats_the_border_values(sigma):
    line = torch.tensor([[5.0, 1.0, 0.0, 2.0, 9.0]])
    pad = 12
    padded = torch.cat([torch.full((1, pad), 5.0), line, torch.full((1, pad), 9.0)], dim=1)
    expected = blurred(padded, sigma)[:, pad:-pad]
    torch.testing.assert_close(blurred(line, sigma), expected)


@pytest.mark.parametrize("size", SIZES)
def test_blur_by_less_than_a_tenth_of_a_voxel_changes_nothing(size):
    view = noise_view(size, channels=1)[0]
    assert torch.equal(blurred(view, 0.09), view)


@pytest.mark.parametrize("size", SIZES)
def test_channels_are_blurred_by_their_own_sigma(size):
    view = noise_view(size)
    corrupted = corrupt(view, untouched(3, blur_sigmas=(0.0, 1.0, 2.0)))
    torch.testing.assert_close(corrupted[0], view[0], atol=1e-5, rtol=1e-5)
    spreads = corrupted.flatten(1).std(1)
    assert spreads[0] > 1.5 * spreads[1]
    assert spreads[1] > 1.3 * spreads[2]


# Gamma and contrast


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("gamma", [math.exp(-0.3), 1.0, math.exp(0.3), 3.0])
def test_gamma_keeps_the_ends_of_the_range_and_the_order_of_values(size, gamma):
    view = noise_view(size, channels=1)[0]
    changed = with_gamma(view, gamma)
    assert changed.min().item() == pytest.approx(view.min().item(), abs=1e-5)
    assert changed.max().item() == pytest.approx(view.max().item(), abs=1e-5)
    assert (changed.flatten()[view.flatten().argsort()].diff() >= 0).all()


def test_gamma_has_hand_derived_values():
    view = torch.tensor([[-2.0, 0.0], [2.0, 6.0]])
    torch.testing.assert_close(with_gamma(view, 2.0), torch.tensor([[-2.0, -1.5], [0.0, 6.0]]))
    torch.testing.assert_close(
        with_gamma(view, 0.5), torch.tensor([[-2.0, 2.0], [-2 + 8 * math.sqrt(0.5), 6.0]])
    )


def test_gamma_does_not_hang_on_single_voxels_and_clips_none():
    view = torch.linspace(0, 1, 1000).view(20, 50)
    expected = with_gamma(view, 2.0)
    view[3, 4] = 1000.0
    changed = with_gamma(view, 2.0)
    # Its distance from the range is kept.
    assert changed[3, 4] == pytest.approx(1000.0, rel=1e-4)
    others = torch.ones_like(view, dtype=torch.bool)
    others[3, 4] = False
    torch.testing.assert_close(changed[others], expected[others], atol=5e-3, rtol=0)


def test_noise_is_in_units_of_the_channel_and_copies_share_every_intensity():
    channels = Channels((1.0, 10.0, 1.0), (0.0,) * 3, (1.0,) * 3, (0, 1, 0))
    drawn = [
        draw_corruption((8, 8), channels, EVERYTHING, torch.Generator().manual_seed(seed))
        for seed in range(200)
    ]
    stds = torch.tensor([each.noise_stds for each in drawn])
    assert stds[:, 0].max() < 0.25 < stds[:, 1].max() <= 2.5
    grey = noise_view((8, 8), channels=1)
    for each in drawn[:5]:
        for values in (each.blur_sigmas, each.noise_stds, each.gammas, each.contrasts):
            assert values[0] == values[2] != values[1]
        corrupted = corrupt(torch.cat([grey] * 3), each)
        assert torch.equal(corrupted[0], corrupted[2])
        assert not torch.equal(corrupted[0], corrupted[1])


@pytest.mark.parametrize("size", SIZES)
def test_a_constant_channel_stays_finite_and_constant(size):
    view = torch.stack([torch.full(size, value) for value in (0.0, -3.0, 1e4)])
    corruption = untouched(
        3, blur_sigmas=(1.0,) * 3, gammas=(1.3, 0.7, 1.3), contrasts=(1.4, 0.6, 1.0)
    )
    torch.testing.assert_close(corrupt(view, corruption), view)


@pytest.mark.parametrize("size", SIZES)
def test_contrast_scales_the_spread_about_the_mean(size):
    view = noise_view(size)
    corrupted = corrupt(view, untouched(3, contrasts=(0.6, 1.0, 1.4)))
    torch.testing.assert_close(corrupted.flatten(1).mean(1), view.flatten(1).mean(1))
    ratios = corrupted.flatten(1).std(1) / view.flatten(1).std(1)
    torch.testing.assert_close(ratios, torch.tensor([0.6, 1.0, 1.4]))


# Noise


@pytest.mark.parametrize("size", [(96, 96), (24, 24, 24), (8, 40, 48)])
def test_noise_has_the_drawn_deviation_and_is_independent_between_channels(size):
    view = torch.zeros(4, *size)
    noise = corrupt(view, untouched(4, noise_stds=(0.0, 0.05, 0.1, 0.25), noise_seed=3))
    stds = noise.flatten(1).std(1)
    assert stds[0] == 0
    torch.testing.assert_close(stds[1:], torch.tensor([0.05, 0.1, 0.25]), atol=0, rtol=0.04)
    correlations = torch.corrcoef(noise[1:].flatten(1)) - torch.eye(3)
    assert correlations.abs().max() < 0.05
    assert noise.flatten(1).mean(1).abs().max() < 0.01


def test_other_seeds_make_other_noise():
    view = torch.zeros(1, 20, 24)
    first, second = (corrupt(view, untouched(1, noise_stds=(1.0,), noise_seed=s)) for s in (1, 2))
    assert abs(torch.corrcoef(torch.cat([first, second]).flatten(1))[0, 1]) < 0.15


def test_noise_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    corrupt(torch.zeros(1, 4, 4), untouched(1, noise_stds=(1.0,)))
    assert torch.equal(torch.get_rng_state(), before)
