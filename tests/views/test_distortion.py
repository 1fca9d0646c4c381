"""Shuffling, curves and painting: what they change, and what they leave exactly as it is."""

import math

import pytest
import torch
from planned_networks import random_images

from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.curves import Curve, bend_, draw_curve, tables_of
from nnunetv2_pcrl.views.devices import as_arrays, on_device
from nnunetv2_pcrl.views.distortion import DistortionChances, distort_, draw_distortion
from nnunetv2_pcrl.views.noise import hashes, noise_key, uniform_noise
from nnunetv2_pcrl.views.painting import draw_inner_painting, draw_outer_painting, paint_
from nnunetv2_pcrl.views.ranges import robust_range
from nnunetv2_pcrl.views.shuffling import ShufflingRound, draw_shuffling, shuffle_

pytestmark = pytest.mark.usefixtures("one_thread")

AUTHORS = DistortionChances(0.5, 0.85, 0.9, 0.9, 0.8)
SIZES = [
    pytest.param((48, 40), id="2d"),
    pytest.param((24, 20, 32), id="3d"),
    pytest.param((7, 40, 44), id="anisotropic"),
    pytest.param((1, 16, 24), id="one slice"),
    pytest.param((4, 4), id="smaller than any window"),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(size, channels: int = 1) -> torch.Tensor:
    """Every voxel has a value of its own."""
    return torch.arange(channels * math.prod(size), dtype=torch.float32).view(channels, *size)


def identity() -> Curve:
    return Curve(((1 / 3, 1 / 3), (2 / 3, 2 / 3)), falls=False)


UNIT = torch.zeros(1), torch.ones(1)


# Ranges and noise


def test_the_range_leaves_out_half_a_percent_at_either_end():
    low, high = robust_range(torch.arange(1001.0)[None])
    assert (float(low), float(high)) == (5, 995)


def test_the_range_of_a_large_view_is_that_of_a_part_of_its_voxels():
    view = random_images(2, 40, 60, 50)
    for ours, exact in zip(robust_range(view), (0.005, 0.995), strict=True):
        expected = torch.stack([v.quantile(exact) for v in view.flatten(1)])
        torch.testing.assert_close(ours, expected, rtol=0, atol=0.1)


def test_uniform_noise_fills_its_range_and_differs_between_channels():
    keys = torch.tensor([noise_key(7, 0), noise_key(7, 1)], dtype=torch.int32)
    low, high = torch.tensor([-1.0, 2.0]), torch.tensor([1.0, 6.0])
    noise = uniform_noise((2, 300, 500), keys, low, high)
    for channel in range(2):
        parts = (noise[channel] - low[channel]) / (high - low)[channel]
        assert float(parts.min()) >= 0 and float(parts.max()) <= 1
        counts = torch.histc(parts, 10, 0, 1) / parts.numel()
        assert (counts - 0.1).abs().max() < 0.005
    parts = (noise - low[:, None, None]) / (high - low)[:, None, None]
    assert abs(float(torch.corrcoef(parts.flatten(1))[0, 1])) < 0.02


def test_hashes_do_not_depend_on_how_many_are_asked_for_together():
    keys = torch.tensor([5], dtype=torch.int32)
    assert torch.equal(hashes(keys, 0, 100)[:, 40:60], hashes(keys, 40, 60))


# Shuffling


def test_a_shuffled_window_keeps_its_values_and_everything_outside_stays():
    view = numbered((12, 10), channels=2)
    before = view.clone()
    start = 3 * 10 + 4
    shuffle_(view, (ShufflingRound((4, 5), torch.tensor([start]), key=9),))
    window = (slice(None), slice(3, 7), slice(4, 9))
    assert not torch.equal(view[window], before[window])
    for channel in range(2):
        ours, expected = (v[window][channel].flatten().sort().values for v in (view, before))
        assert torch.equal(ours, expected)
    # All channels alike.
    assert torch.equal(view[1] - view[0], before[1] - before[0])
    view[window] = before[window]
    assert torch.equal(view, before)


@pytest.mark.parametrize("size", SIZES)
def test_windows_of_a_round_lie_in_the_view_and_do_not_touch_one_another(size):
    for seed in range(5):
        for each in draw_shuffling(size, 0.85, seeded(seed)):
            starts = torch.stack(torch.unravel_index(each.starts, size), dim=1)
            ends = starts + torch.tensor(each.size)
            assert (ends <= torch.tensor(size)).all()
            covered = torch.zeros(size, dtype=torch.int32)
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                covered[tuple(slice(a, b) for a, b in zip(start, end, strict=True))] += 1
            assert int(covered.max()) <= 1


def test_windows_have_at_most_a_tenth_of_the_side_and_one_voxel_of_a_thin_axis():
    largest = [0, 0, 0]
    for seed in range(60):
        for each in draw_shuffling((64, 40, 7), 0.85, seeded(seed)):
            largest = [max(a, b) for a, b in zip(largest, each.size, strict=True)]
    assert largest == [6, 4, 1]


def test_as_many_voxels_are_touched_and_moved_as_by_the_authors_ten_thousand_windows():
    # Theirs, simulated: 0.819 touched, 0.785 moved.
    size, moved = (64, 64, 32), []
    for seed in range(4):
        view = numbered(size)
        shuffle_(view, draw_shuffling(size, 0.85, seeded(seed)))
        moved.append(float((view != numbered(size)).float().mean()))
    assert sum(moved) / len(moved) == pytest.approx(0.785, abs=0.02)


# Curves


def test_control_points_on_the_diagonal_change_nothing():
    view = random_images(1, 20, 20)
    low, high = robust_range(view)
    bent = view.clone()
    bend_(bent, tables_of((identity(),)), low, high)
    torch.testing.assert_close(bent, view, rtol=0, atol=1e-5)


def test_curves_take_the_unit_interval_to_itself_monotonely_rising_or_falling():
    falling = 0
    for seed in range(40):
        curve = draw_curve(seeded(seed))
        values = torch.linspace(0, 1, 101)[None].clone()
        bend_(values, tables_of((curve,)), *UNIT)
        ends = (1.0, 0.0) if curve.falls else (0.0, 1.0)
        assert (float(values[0, 0]), float(values[0, -1])) == pytest.approx(ends, abs=1e-6)
        assert float(values.min()) >= -1e-6 and float(values.max()) <= 1 + 1e-6
        steps = values.diff() * (-1 if curve.falls else 1)
        assert float(steps.min()) >= -1e-6
        falling += curve.falls
    assert 10 <= falling <= 30


def test_a_curve_is_the_bezier_curve_of_its_control_points():
    controls = ((0.2, 0.9), (0.7, 0.1))
    t = torch.linspace(0, 1, 13, dtype=torch.float64)
    x, y = (
        3 * t * (1 - t) ** 2 * a + 3 * t**2 * (1 - t) * b + t**3
        for a, b in zip(*controls, strict=True)
    )
    values = x.float()[None].clone()
    bend_(values, tables_of((Curve(controls, falls=False),)), *UNIT)
    torch.testing.assert_close(values[0], y.float(), rtol=0, atol=2e-4)


@pytest.mark.parametrize("falls", [False, True])
def test_values_beyond_the_range_are_carried_along_and_not_clipped(falls):
    values = torch.tensor([[-0.5, -0.1, 0.0, 1.0, 1.2, 3.0]])
    bend_(values, tables_of((Curve(((0.1, 0.8), (0.4, 0.9)), falls),)), *UNIT)
    expected = [1.5, 1.1, 1.0, 0.0, -0.2, -2.0] if falls else [-0.5, -0.1, 0.0, 1.0, 1.2, 3.0]
    torch.testing.assert_close(values, torch.tensor([expected]), rtol=0, atol=1e-5)


def test_no_two_values_of_zscored_data_become_one():
    # Clipping to [0, 1] would make one value of two thirds of them.
    view = random_images(1, 2000).sort(dim=1).values
    assert len(view.unique()) == 2000
    low, high = robust_range(view)
    bend_(view, tables_of((Curve(((0.3, 0.2), (0.6, 0.9)), falls=True),)), low, high)
    assert len(view.unique()) > 1980


def test_every_channel_is_bent_in_its_own_range_along_its_own_curve():
    view = random_images(2, 30, 30)
    view[1] = 100 * view[1] + 7
    before = view.clone()
    curves = (identity(), Curve(((0.0, 1.0), (0.0, 1.0)), falls=False))
    bend_(view, tables_of(curves), *robust_range(view))
    torch.testing.assert_close(view[0], before[0], rtol=0, atol=1e-5)
    assert float((view[1] - before[1]).abs().mean()) > 10
    # Nearly all of it is inside the range, and stays there.
    low, high = robust_range(before)
    inside = (before[1] >= low[1]) & (before[1] <= high[1])
    assert float(view[1][inside].min()) >= low[1] - 1e-3
    assert float(view[1][inside].max()) <= high[1] + 1e-3


# Painting


@pytest.mark.parametrize("size", SIZES)
def test_outer_painting_keeps_its_windows_bit_for_bit_and_nothing_else(size):
    view = random_images(2, *size)
    before = view.clone()
    painting = draw_outer_painting(size, Channels.unmeasured(2), seeded(3))
    assert 1 <= len(painting.boxes) <= 5
    low, high = robust_range(view)
    paint_(view, painting, low, high)
    kept = torch.zeros(size, dtype=torch.bool)
    for box in painting.boxes:
        kept[box.slices] = True
    assert torch.equal(view[:, kept], before[:, kept])
    for channel in range(2):
        noise = view[channel][~kept]
        assert (noise != before[channel][~kept]).all()
        assert ((noise >= low[channel]) & (noise <= high[channel])).all()


@pytest.mark.parametrize("size", SIZES)
def test_inner_painting_changes_its_boxes_and_nothing_else(size):
    for seed in range(6):
        view = random_images(2, *size)
        before = view.clone()
        painting = draw_inner_painting(size, Channels.unmeasured(2), seeded(seed))
        paint_(view, painting, *robust_range(view))
        painted = torch.zeros(size, dtype=torch.bool)
        for box in painting.boxes:
            painted[box.slices] = True
        assert torch.equal(view[:, ~painted], before[:, ~painted])
        assert not painting.boxes or (view != before)[:, painted].float().mean() > 0.98


def test_painted_boxes_have_a_sixth_to_a_third_of_the_side_and_keep_three_voxels_from_the_border():
    counts = set()
    for seed in range(80):
        painting = draw_inner_painting((60, 36), Channels.unmeasured(1), seeded(seed))
        counts.add(len(painting.boxes))
        for box in painting.boxes:
            for side, edge, start in zip((60, 36), box.size, box.start, strict=True):
                assert side / 6 <= edge <= side / 3
                assert 3 <= start <= side - edge - 3
    # No box at all is as rare as one in twenty.
    assert 5 in counts and max(counts) == 5


def test_windows_that_stay_have_three_to_four_sevenths_of_the_side():
    for seed in range(40):
        for box in draw_outer_painting((70, 35), Channels.unmeasured(1), seeded(seed)).boxes:
            for side, edge in zip((70, 35), box.size, strict=True):
                assert 3 * side / 7 <= edge <= 4 * side / 7


# Together


@pytest.mark.slow
def test_distortions_happen_as_often_as_in_the_authors_code():
    generator, draws = seeded(), 3000
    found = {"shuffled": 0, "bent": 0, "inner": 0, "outer": 0, "none": 0}
    for _ in range(draws):
        each = draw_distortion((8, 8), Channels.unmeasured(1), AUTHORS, generator)
        found["shuffled"] += bool(each.shuffling)
        found["bent"] += each.curves is not None
        kind = "none" if each.painting is None else "inner"
        found["outer" if each.painting and each.painting.is_outer else kind] += 1
    shares = {name: count / draws for name, count in found.items()}
    expected = {"shuffled": 0.5, "bent": 0.9, "inner": 0.18, "outer": 0.72, "none": 0.10}
    assert shares == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("size", SIZES)
def test_equal_draws_distort_equally_also_after_the_way_to_another_process(size):
    always = DistortionChances(1.0, 0.85, 1.0, 1.0, 0.5)
    for seed in range(4):
        views = []
        for is_sent in (False, True):
            view = random_images(2, *size)
            distortion = draw_distortion(size, Channels.unmeasured(2), always, seeded(seed))
            if is_sent:
                distortion = on_device(as_arrays(distortion), torch.device("cpu"))
            distort_(view, distortion)
            views.append(view)
        assert torch.equal(*views)
        assert torch.isfinite(views[0]).all()
        assert not torch.equal(views[0], random_images(2, *size))


def test_a_constant_view_stays_finite():
    view = torch.full((1, 16, 16), 3.0)
    distort_(
        view,
        draw_distortion(
            (16, 16), Channels.unmeasured(1), DistortionChances(1, 0.85, 1, 1, 1), seeded()
        ),
    )
    assert torch.isfinite(view).all()
