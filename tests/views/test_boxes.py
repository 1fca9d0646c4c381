"""Boxes and how they are drawn: always inside, always overlapping enough, nothing out of reach."""

import itertools

import pytest
import torch

from nnunetv2_pcrl.views.boxes import (
    Box,
    draw_box_within,
    draw_crop_size,
    draw_global_boxes,
    draw_local_boxes,
)

# (image size, view size, scale range)
DRAWS = [
    pytest.param((96, 128), (32, 32), (1.0, 1.75), id="2d"),
    pytest.param((64, 72, 80), (24, 24, 24), (1.0, 1.75), id="3d"),
    pytest.param((12, 40, 48), (8, 24, 24), (1.0, 1.75), id="anisotropic"),
    pytest.param((10, 20, 18), (24, 24, 24), (1.0, 1.75), id="smaller than the view"),
    pytest.param((30, 20, 200), (24, 24, 24), (1.0, 1.75), id="smaller on one axis"),
    pytest.param((1, 40, 48), (8, 24, 24), (1.0, 1.75), id="one slice"),
    pytest.param((1, 1, 1), (8, 24, 24), (1.0, 1.75), id="one voxel"),
    pytest.param((5, 1), (32, 32), (1.0, 1.75), id="one row"),
    pytest.param((300, 300), (24, 24), (0.05, 12.0), id="from tiny to whole in 2d"),
    pytest.param((60, 9, 200), (24, 24, 24), (0.01, 20.0), id="from tiny to whole in 3d"),
    pytest.param((64, 64, 64), (16, 16, 16), (2.0, 2.0), id="one scale"),
]


def whole(image_size) -> Box:
    return Box((0,) * len(image_size), tuple(image_size))


def test_stop_volume_slices_and_union_have_hand_derived_values():
    box = Box((1, 2, 3), (2, 4, 5))
    assert box.stop == (3, 6, 8)
    assert box.volume == 40
    assert torch.zeros(4, 7, 9)[box.slices].shape == (2, 4, 5)
    assert box.union(Box((0, 5, 4), (1, 3, 1))) == Box((0, 2, 3), (3, 6, 5))
    assert box.union(Box((2, 3, 4), (1, 1, 1))) == box.union() == box
    assert Box((0, 0), (1, 1)).union(Box((4, 0), (1, 1)), Box((0, 8), (2, 2))) == Box(
        (0, 0), (5, 10)
    )


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (Box((0, 0), (4, 4)), Box((0, 0), (4, 4)), 1.0),
        (Box((0, 0), (4, 4)), Box((2, 2), (4, 4)), 4 / 28),
        (Box((0, 0), (4, 4)), Box((1, 1), (2, 2)), 4 / 16),
        (Box((0, 0), (4, 4)), Box((4, 0), (4, 4)), 0.0),
        (Box((0, 0), (4, 4)), Box((9, 9), (1, 1)), 0.0),
        (Box((0, 0, 0), (2, 4, 4)), Box((1, 0, 2), (2, 4, 4)), 8 / 56),
    ],
)
def test_iou_has_hand_derived_values(a, b, expected):
    assert a.iou(b) == b.iou(a) == pytest.approx(expected)
    assert a.overlap(b) == b.overlap(a) == round(expected / (1 + expected) * (a.volume + b.volume))


def test_a_box_contains_itself_and_nothing_that_crosses_a_side():
    box = Box((2, 3), (4, 5))
    assert box.contains(box)
    assert box.contains(Box((5, 7), (1, 1)))
    for other in (
        Box((1, 3), (4, 5)),
        Box((2, 4), (4, 5)),
        Box((2, 3), (5, 5)),
        Box((6, 3), (1, 1)),
    ):
        assert not box.contains(other)


@pytest.mark.parametrize("outer", [Box((3, 1), (4, 3)), Box((2, 0, 5), (2, 3, 4))])
def test_every_position_is_drawn_the_first_and_the_last_included(outer, generator):
    size = (2,) * len(outer.size)
    possible = set(
        itertools.product(*(range(a, b - 1) for a, b in zip(outer.start, outer.stop, strict=True)))
    )
    drawn = [draw_box_within(size, outer, generator) for _ in range(600)]
    assert {box.start for box in drawn} == possible
    assert {box.size for box in drawn} == {size}
    counts = [sum(box.start == start for box in drawn) for start in possible]
    assert min(counts) > 600 / len(possible) / 2


def test_a_box_as_large_as_its_surroundings_has_one_position(generator):
    outer = Box((3, 0, 7), (1, 4, 2))
    assert draw_box_within((1, 4, 2), outer, generator) == outer


@pytest.mark.parametrize("size", [(5, 3), (4, 4), (9, 9)])
def test_a_box_that_does_not_fit_is_refused(size, generator):
    with pytest.raises(ValueError, match=r"box of size \(\d, \d\) does not fit into Box"):
        draw_box_within(size, Box((0, 0), (4, 3)), generator)


@pytest.mark.parametrize("min_iou", [0.3, 0.05, 0.9])
@pytest.mark.parametrize(("image_size", "view_size", "scale_range"), DRAWS)
def test_global_boxes_lie_in_the_image_and_overlap_enough(
    image_size, view_size, scale_range, min_iou, generator
):
    image = whole(image_size)
    for _ in range(1000):
        first, second = draw_global_boxes(image_size, view_size, scale_range, min_iou, generator)
        assert image.contains(first)
        assert image.contains(second)
        assert first.iou(second) >= min_iou - 1e-9


@pytest.mark.parametrize(
    ("image_size", "side"), [((5, 5), 3), ((6, 4), 3), ((4, 4, 4), 3), ((3, 5, 4), 2)]
)
def test_every_pair_of_global_boxes_with_enough_overlap_can_be_drawn(image_size, side, generator):
    size = (side,) * len(image_size)
    starts = list(itertools.product(*(range(limit - side + 1) for limit in image_size)))
    possible = {(a, b) for a in starts for b in starts if Box(a, size).iou(Box(b, size)) >= 0.3}
    drawn = set()
    for _ in range(40 * len(possible)):
        first, second = draw_global_boxes(image_size, size, (1.0, 1.0), 0.3, generator)
        drawn.add((first.start, second.start))
    assert drawn == possible


def test_the_second_global_box_is_not_bound_to_the_size_of_the_first(generator):
    pairs = [
        draw_global_boxes((200, 200, 200), (32, 32, 32), (1.0, 1.75), 0.3, generator)
        for _ in range(300)
    ]
    larger = sum(a.volume < b.volume for a, b in pairs)
    assert 90 < larger < 210
    assert max(b.volume / a.volume for a, b in pairs) > 2
    assert min(a.iou(b) for a, b in pairs) < 0.35


@pytest.mark.parametrize(
    "image_size", [(20, 13), (10, 20, 18), (2, 23, 7)], ids=["2d", "3d", "flat"]
)
def test_images_smaller_than_a_view_are_cropped_at_60_percent_of_their_extent_or_more(
    image_size, generator
):
    view_size = (24,) * len(image_size)
    seen = [set() for _ in image_size]
    for _ in range(300):
        for box in draw_global_boxes(image_size, view_size, (1.0, 1.75), 0.3, generator):
            for axis, (size, limit) in enumerate(zip(box.size, image_size, strict=True)):
                assert 0.6 * limit <= size <= limit
                seen[axis].add(size)
    for sizes, limit in zip(seen, image_size, strict=True):
        assert max(sizes) == limit
        assert min(sizes) <= 0.6 * limit + 1


@pytest.mark.parametrize(
    ("view_size", "scale_range"),
    [((32, 32), (1.0, 1.75)), ((24, 32, 32), (0.5, 1.0)), ((8, 24, 24), (1.0, 1.75))],
)
def test_crop_sizes_fill_the_scale_range_and_keep_the_proportions_of_the_view(
    view_size, scale_range, generator
):
    low, high = scale_range
    extent = (500,) * len(view_size)
    sizes = [draw_crop_size(view_size, extent, scale_range, generator) for _ in range(1500)]
    for axis, view in enumerate(view_size):
        drawn = [size[axis] for size in sizes]
        assert set(drawn) == set(range(round(low * view), round(high * view) + 1))
        assert sum(drawn) / len(drawn) == pytest.approx((low + high) / 2 * view, rel=0.02)
    for size in sizes:
        scales = [(s - 0.5) / v for s, v in zip(size, view_size, strict=True)]
        tops = [(s + 0.5) / v for s, v in zip(size, view_size, strict=True)]
        assert max(scales) <= min(tops)


@pytest.mark.parametrize("extent", [(1, 1, 1), (3, 100, 30), (7, 24, 25)])
@pytest.mark.parametrize("scale_range", [(1e-3, 1e-3), (1.0, 1.75), (50.0, 60.0), (0.01, 60.0)])
def test_crop_sizes_are_at_least_one_voxel_and_at_most_the_extent(extent, scale_range, generator):
    for _ in range(100):
        sizes = draw_crop_size((24, 24, 24), extent, scale_range, generator)
        assert all(1 <= size <= limit for size, limit in zip(sizes, extent, strict=True))


@pytest.mark.parametrize(("image_size", "view_size", "scale_range"), DRAWS)
def test_local_boxes_lie_wholly_inside_the_union_of_the_global_ones(
    image_size, view_size, scale_range, generator
):
    local_size = tuple(max(1, size // 2) for size in view_size)
    for _ in range(50):
        union = Box.union(*draw_global_boxes(image_size, view_size, scale_range, 0.3, generator))
        boxes = draw_local_boxes(union, local_size, (0.5, 1.0), 6, generator)
        assert len(boxes) == 6
        assert all(union.contains(box) for box in boxes)


@pytest.mark.parametrize(
    ("union", "local_size"),
    [(Box((5, 7), (9, 12)), (4, 4)), (Box((2, 5, 7), (3, 9, 12)), (2, 4, 4))],
    ids=["2d", "anisotropic"],
)
def test_local_boxes_reach_every_side_of_the_union(union, local_size, generator):
    boxes = draw_local_boxes(union, local_size, (0.5, 1.0), 1000, generator)
    assert Box.union(*boxes) == union
    for axis in range(len(union.size)):
        assert len({box.size[axis] for box in boxes}) > 1
    assert len(set(boxes)) > 200


def test_equal_generators_draw_equal_boxes_and_others_do_not():
    def draw(seed: int):
        source = torch.Generator().manual_seed(seed)
        first, second = draw_global_boxes((40, 50, 60), (16, 16, 16), (1.0, 1.75), 0.3, source)
        return first, second, draw_local_boxes(first.union(second), (8, 8, 8), (0.5, 1), 6, source)

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
