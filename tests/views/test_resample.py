"""One interpolation per view: exact where nothing moves, linear, rigid in mm, from few voxels."""

import math

import pytest
import torch
import torch.nn.functional as F

from nnunetv2_pcrl.views import resample as resample_module
from nnunetv2_pcrl.views.boxes import Box, draw_box_within
from nnunetv2_pcrl.views.resample import (
    Deformation,
    draw_deformation,
    footprint,
    resample,
    rotation_planes,
    sampling_lines,
    sampling_matrix,
)

pytestmark = pytest.mark.usefixtures("one_thread")

# (image size, spacing in mm, box, view size)
SPACES = [
    pytest.param((40, 48), (0.8, 0.8), Box((7, 11), (20, 24)), (16, 20), id="2d"),
    pytest.param(
        (24, 30, 28), (1.0, 1.0, 1.0), Box((4, 6, 5), (14, 18, 16)), (12, 12, 10), id="3d"
    ),
    pytest.param(
        (12, 40, 48), (5.0, 0.8, 0.8), Box((3, 8, 9), (6, 22, 26)), (8, 16, 20), id="anisotropic"
    ),
    pytest.param(
        (16, 30, 30), (2.0, 0.8, 1.0), Box((4, 6, 5), (8, 18, 16)), (8, 12, 10), id="rotated in 3d"
    ),
]

TOLERANCE = {"atol": 2e-5, "rtol": 0}


def whole(image_size) -> Box:
    return Box((0,) * len(image_size), tuple(image_size))


def noise_image(image_size, channels: int = 2) -> torch.Tensor:
    return torch.randn(channels, *image_size, generator=torch.Generator().manual_seed(1))


def coordinates(image_size) -> torch.Tensor:
    """An image whose channel a holds the index along axis a."""
    axes = [torch.arange(size, dtype=torch.float32) for size in image_size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def view_of(image, box, deformation, spacing, view_size):
    matrix = sampling_matrix(deformation, box.size, spacing)
    return sampled(image, whole(image.shape[1:]), box, matrix, view_size)


def sampled(region, region_box, box, matrix, view_size):
    """One view, [C, ...]."""
    lines = sampling_lines(region_box, box, matrix, view_size)
    return resample(region, [line[None].to(region.device) for line in lines])[0]


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_without_deformation_and_at_the_size_of_the_box_the_view_is_the_crop(
    image_size, spacing, box, view_size
):
    image = noise_image(image_size)
    still = Deformation.identity(len(image_size))
    crop = image[(slice(None), *box.slices)]
    torch.testing.assert_close(view_of(image, box, still, spacing, box.size), crop, **TOLERANCE)


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_flips_mirror_the_axes_they_name_and_no_other(image_size, spacing, box, view_size):
    image = noise_image(image_size)
    num_axes = len(image_size)
    crop = image[(slice(None), *box.slices)]
    still = Deformation.identity(num_axes)
    for chosen in range(2**num_axes):
        flips = tuple(bool(chosen >> axis & 1) for axis in range(num_axes))
        flipped = view_of(
            image, box, Deformation(flips, still.scales, still.angles), spacing, box.size
        )
        expected = crop.flip([axis + 1 for axis in range(num_axes) if flips[axis]])
        torch.testing.assert_close(flipped, expected, **TOLERANCE)


def test_a_quarter_turn_in_2d_has_hand_derived_values():
    image = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    turn = Deformation((False, False), (1.0, 1.0), (math.pi / 2,))
    view = view_of(image, Box((0, 0), (2, 2)), turn, (1.0, 1.0), (2, 2))
    torch.testing.assert_close(view, torch.tensor([[[3.0, 1.0], [4.0, 2.0]]]))


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_a_quarter_turn_in_3d_turns_its_own_plane_and_keeps_the_third_axis(plane):
    image = noise_image((6, 6, 6))
    angles = tuple(math.pi / 2 if p == plane else 0.0 for p in range(3))
    turn = Deformation((False,) * 3, (1.0,) * 3, angles)
    view = view_of(image, Box((1, 1, 1), (4, 4, 4)), turn, (1.0,) * 3, (4, 4, 4))
    axes = tuple(axis + 1 for axis in rotation_planes(3)[plane])
    torch.testing.assert_close(view, image[:, 1:5, 1:5, 1:5].rot90(-1, axes), **TOLERANCE)


def test_a_quarter_turn_in_mm_lets_one_thick_voxel_take_the_room_of_three_thin_ones():
    # 3 mm slices of 1 mm voxels: a box of 2 x 6 voxels is a square of 6 mm.
    image = torch.tensor([[[0.0] * 6, [3.0] * 6]])
    turn = Deformation((False, False), (1.0, 1.0), (math.pi / 2,))
    view = view_of(image, Box((0, 0), (2, 6)), turn, (3.0, 1.0), (2, 6))
    # Along the second axis the view now crosses the slices: at -5/6, -1/2 ... 5/6 of their centres.
    expected = torch.tensor([3.0, 3.0, 2.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(view[0], expected.expand(2, 6), **TOLERANCE)


@pytest.mark.parametrize(
    ("spacing", "angles"),
    [
        ((0.8, 0.8), (0.7,)),
        ((1.5, 0.6), (-0.3,)),
        ((1.0, 1.0, 1.0), (0.2, -0.5, 0.9)),
        ((5.0, 0.8, 0.8), (0.2, -0.5, 0.9)),
    ],
)
def test_rotation_keeps_distances_in_mm(spacing, angles, generator):
    num_axes = len(spacing)
    size = (10, 24, 20)[:num_axes]
    mm = torch.tensor(spacing, dtype=torch.float64)
    extent_mm = torch.tensor(size, dtype=torch.float64) * mm
    flips = (True, False, True)[:num_axes]
    matrix = sampling_matrix(Deformation(flips, (1.0,) * num_axes, angles), size, spacing)
    a, b = torch.rand(2, 50, num_axes, generator=generator, dtype=torch.float64) * 2 - 1
    in_view_mm = ((a - b) / 2 * extent_mm).norm(dim=1)
    in_body_mm = ((a - b) @ matrix.T * mm).norm(dim=1)
    torch.testing.assert_close(in_body_mm, in_view_mm)


def test_scales_change_the_extent_that_is_sampled():
    matrix = sampling_matrix(
        Deformation((False,) * 3, (0.9, 1.0, 1.1), (0.0,) * 3), (10, 20, 40), (5.0, 0.8, 0.8)
    )
    expected = torch.diag(torch.tensor([4.5, 10.0, 22.0], dtype=torch.float64))
    torch.testing.assert_close(matrix, expected)


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
@pytest.mark.parametrize("factor", [0.5, 1.6, 3])
def test_a_linear_ramp_stays_a_linear_ramp_when_it_is_enlarged_or_shrunk(
    image_size, spacing, box, view_size, factor
):
    sizes = tuple(max(2, round(factor * size)) for size in box.size)
    still = Deformation.identity(len(image_size))
    view = view_of(coordinates(image_size), box, still, spacing, sizes)
    for axis, (start, size, view_side) in enumerate(zip(box.start, box.size, sizes, strict=True)):
        # Voxel j of the view is centred at (j + 1/2) * size / view_side of the box.
        line = start + (torch.arange(view_side) + 0.5) * size / view_side - 0.5
        shape = [-1 if a == axis else 1 for a in range(len(sizes))]
        torch.testing.assert_close(view[axis], line.view(shape).expand(sizes), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_a_deformed_view_of_the_coordinates_is_an_affine_map_about_the_centre_of_the_box(
    image_size, spacing, box, view_size, generator
):
    # Padding keeps every sample off the border, where values are repeated.
    pad = 20
    padded = coordinates([size + 2 * pad for size in image_size]) - pad
    moved = Box(tuple(start + pad for start in box.start), box.size)
    for _ in range(5):
        deformation = draw_deformation(spacing, 0.1, 10.0, generator)
        view = view_of(padded, moved, deformation, spacing, view_size)
        centre = torch.tensor(
            [start + (size - 1) / 2 for start, size in zip(box.start, box.size, strict=True)]
        )
        torch.testing.assert_close(view.flatten(1).mean(1), centre, atol=1e-3, rtol=0)
        for axis in range(1, view.ndim):
            assert view.diff(n=2, dim=axis).abs().max() < 1e-3


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_sampling_the_footprint_equals_sampling_the_whole_image(
    image_size, spacing, box, view_size, generator
):
    image = noise_image(image_size)
    for _ in range(30):
        size = tuple(
            int(torch.randint(1, limit + 1, (), generator=generator)) for limit in image_size
        )
        box = draw_box_within(size, whole(image_size), generator)
        deformation = draw_deformation(spacing, 0.3, 60.0, generator)
        matrix = sampling_matrix(deformation, box.size, spacing)
        region_box = footprint(box, matrix, image_size)
        region = image[(slice(None), *region_box.slices)]
        torch.testing.assert_close(
            sampled(region, region_box, box, matrix, view_size),
            sampled(image, whole(image_size), box, matrix, view_size),
            atol=1e-4,
            rtol=0,
        )


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_sampling_the_footprint_equals_sampling_the_whole_image_in_every_corner(
    image_size, spacing, box, view_size, generator
):
    image = noise_image(image_size)
    for corner in range(2 ** len(image_size)):
        start = tuple(
            (limit - size) * (corner >> axis & 1)
            for axis, (limit, size) in enumerate(zip(image_size, box.size, strict=True))
        )
        corner_box = Box(start, box.size)
        deformation = draw_deformation(spacing, 0.1, 10.0, generator)
        matrix = sampling_matrix(deformation, box.size, spacing)
        region_box = footprint(corner_box, matrix, image_size)
        region = image[(slice(None), *region_box.slices)]
        torch.testing.assert_close(
            sampled(region, region_box, corner_box, matrix, view_size),
            sampled(image, whole(image_size), corner_box, matrix, view_size),
            atol=1e-4,
            rtol=0,
        )


@pytest.mark.parametrize(
    ("image_size", "view_size", "spacing"),
    [
        ((9, 13), (16, 20), (1.0, 1.0)),
        ((1, 9), (16, 20), (1.0, 1.0)),
        ((5, 9, 7), (12, 12, 12), (1.0, 1.0, 1.0)),
        ((1, 20, 30), (8, 16, 16), (5.0, 0.8, 0.8)),
        ((1, 1, 1), (8, 16, 16), (1.0, 1.0, 1.0)),
    ],
)
def test_the_footprint_of_an_image_smaller_than_a_view_suffices(
    image_size, view_size, spacing, generator
):
    image = noise_image(image_size)
    box = whole(image_size)
    for _ in range(20):
        matrix = sampling_matrix(draw_deformation(spacing, 0.1, 10.0, generator), box.size, spacing)
        region_box = footprint(box, matrix, image_size)
        region = image[(slice(None), *region_box.slices)]
        view = sampled(region, region_box, box, matrix, view_size)
        assert view.shape == (2, *view_size)
        torch.testing.assert_close(
            view, sampled(image, box, box, matrix, view_size), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_the_footprint_lies_in_the_image_and_is_never_empty(
    image_size, spacing, box, view_size, generator
):
    image = whole(image_size)
    for _ in range(300):
        size = tuple(
            int(torch.randint(1, limit + 1, (), generator=generator)) for limit in image_size
        )
        box = draw_box_within(size, image, generator)
        matrix = sampling_matrix(draw_deformation(spacing, 1.0, 180.0, generator), size, spacing)
        region_box = footprint(box, matrix, image_size)
        assert image.contains(region_box)
        assert region_box.volume >= 1


def test_the_footprint_of_an_undeformed_box_is_the_box_and_one_neighbour_at_most():
    box = Box((5, 6, 7), (4, 10, 12))
    matrix = sampling_matrix(Deformation.identity(3), box.size, (5.0, 0.8, 0.8))
    region_box = footprint(box, matrix, (30, 40, 40))
    assert region_box.contains(box)
    assert Box((4, 5, 6), (6, 12, 14)).contains(region_box)


@pytest.mark.parametrize(
    ("spacing", "turned"),
    [
        ((0.8, 0.8), [True]),
        ((4.0, 1.0), [False]),
        ((1.0, 1.0, 1.0), [True, True, True]),
        ((3.0, 1.0, 1.0), [True, True, True]),
        ((3.1, 1.0, 1.0), [False, False, True]),
        ((5.0, 0.8, 0.8), [False, False, True]),
        ((0.8, 5.0, 0.8), [False, True, False]),
        ((0.8, 0.8, 5.0), [True, False, False]),
        ((1.0, 4.0, 20.0), [False, False, False]),
    ],
)
def test_planes_with_a_spacing_ratio_above_3_are_never_rotated(spacing, turned, generator):
    drawn = [draw_deformation(spacing, 0.1, 10.0, generator).angles for _ in range(20)]
    for plane, may_turn in enumerate(turned):
        assert all((angles[plane] != 0) == may_turn for angles in drawn)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 1.0, 1.0), (5.0, 0.8, 0.8)])
def test_deformations_fill_their_ranges_and_flip_half_of_the_time(spacing, generator):
    drawn = [draw_deformation(spacing, 0.1, 10.0, generator) for _ in range(1000)]
    for axis in range(len(spacing)):
        scales = [d.scales[axis] for d in drawn]
        assert 0.9 <= min(scales) < 0.905
        assert 1.095 < max(scales) <= 1.1
        assert 430 < sum(d.flips[axis] for d in drawn) < 570
    degrees = [math.degrees(d.angles[-1]) for d in drawn]
    assert -10 <= min(degrees) < -9.8
    assert 9.8 < max(degrees) <= 10
    assert len({d.flips for d in drawn}) == 2 ** len(spacing)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 1.0, 1.0)])
def test_zero_ranges_leave_flips_only(spacing, generator):
    for _ in range(20):
        deformation = draw_deformation(spacing, 0.0, 0.0, generator)
        still = Deformation.identity(len(spacing))
        assert (deformation.scales, deformation.angles) == (still.scales, still.angles)


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_the_region_is_left_as_it_is_and_shares_no_storage_with_the_view(
    image_size, spacing, box, view_size, generator
):
    image = noise_image(image_size)
    before = image.clone()
    for deformation in (
        Deformation.identity(len(image_size)),
        draw_deformation(spacing, 0.1, 10.0, generator),
    ):
        view = view_of(image, box, deformation, spacing, box.size)
        view.fill_(7.0)
        assert torch.equal(image, before)


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_type_channels_and_device_are_those_of_the_region(
    image_size, spacing, box, view_size, dtype, generator
):
    image = noise_image(image_size, channels=4).to(dtype)
    deformation = draw_deformation(spacing, 0.1, 10.0, generator)
    view = view_of(image, box, deformation, spacing, view_size)
    assert (view.dtype, view.device, view.shape) == (dtype, image.device, (4, *view_size))
    for channel in range(4):
        alone = view_of(image[channel : channel + 1], box, deformation, spacing, view_size)
        torch.testing.assert_close(view[channel], alone[0])


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_views_sampled_together_equal_each_alone(image_size, spacing, box, view_size, generator):
    image = noise_image(image_size)
    lines = [
        sampling_lines(
            whole(image_size),
            box,
            sampling_matrix(draw_deformation(spacing, 0.1, 10.0, generator), box.size, spacing),
            view_size,
        )
        for _ in range(3)
    ]
    together = [torch.stack(of_axis) for of_axis in zip(*lines, strict=True)]
    views = resample(image, together)
    assert views.shape == (3, 2, *view_size)
    # As on a GPU, in a single call.
    assert torch.equal(views, resample_module._sample(image, [line.float() for line in together]))
    for view, own_lines in zip(views, lines, strict=True):
        assert torch.equal(view, resample(image, [line[None] for line in own_lines])[0])
    assert not torch.equal(views[0], views[1])


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_the_grid_is_the_one_of_torch(image_size, spacing, box, view_size, generator):
    region_box = Box(tuple(start - 1 for start in box.start), tuple(s + 2 for s in box.size))
    matrix = sampling_matrix(draw_deformation(spacing, 0.1, 10.0, generator), box.size, spacing)
    lines = sampling_lines(region_box, box, matrix, view_size)
    # Ends of the view's axes in the region, and its centre, by the definition of the matrix.
    extent = torch.tensor(region_box.size, dtype=torch.float64)
    centre = torch.tensor([s / 2 + 1 for s in box.size], dtype=torch.float64)
    theta = torch.cat([matrix / extent[:, None] * 2, (centre / extent * 2 - 1)[:, None]], dim=1)
    theta[:, :-1] = theta[:, :-1].flip(1)
    expected = F.affine_grid(theta.flip(0)[None], [1, 1, *view_size], align_corners=False)[0]
    grid = sum(
        line.view(len(lines), *[-1 if a == axis else 1 for a in range(len(lines))])
        for axis, line in enumerate(lines)
    )
    torch.testing.assert_close(grid.movedim(0, -1), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_a_view_made_on_the_gpu_equals_the_one_made_on_the_cpu(
    image_size, spacing, box, view_size, generator
):
    image = noise_image(image_size)
    deformation = draw_deformation(spacing, 0.1, 10.0, generator)
    view = view_of(image.cuda(), box, deformation, spacing, view_size)
    assert view.is_cuda
    torch.testing.assert_close(
        view.cpu(), view_of(image, box, deformation, spacing, view_size), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(("image_size", "spacing", "box", "view_size"), SPACES)
def test_views_stay_within_the_values_of_the_image_beyond_its_border_too(
    image_size, spacing, box, view_size, generator
):
    # Far from zero, so that padding with zeros would show.
    image = noise_image(image_size) + 100
    for _ in range(5):
        deformation = draw_deformation(spacing, 0.5, 90.0, generator)
        view = view_of(image, whole(image_size), deformation, spacing, view_size)
        assert image.min() - 1e-3 <= view.min()
        assert view.max() <= image.max() + 1e-3
