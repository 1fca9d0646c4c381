"""Swaps in rounds: the same as one after the other."""

import pytest
import torch

from nnunetv2_pcrl.views.boxes import Box, draw_box_within
from nnunetv2_pcrl.views.swaps import prepare_swaps, swap_patches_

pytestmark = pytest.mark.usefixtures("one_thread")

# (view size, patch): so crowded that most swaps have to wait for others.
CROWDED = [
    pytest.param((12, 14), (3, 4), id="2d"),
    pytest.param((8, 9, 10), (3, 2, 4), id="3d"),
    pytest.param((1, 12, 12), (1, 3, 3), id="one slice"),
    pytest.param((4, 12, 12), (1, 5, 5), id="anisotropic"),
]


def draw_swaps(number: int, size, patch, generator):
    view = Box((0,) * len(size), size)
    drawn = [[draw_box_within(patch, view, generator) for _ in range(2)] for _ in range(number)]
    return tuple((a, b) for a, b in drawn if a.iou(b) == 0)


def numbered(*shape) -> torch.Tensor:
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


@pytest.mark.parametrize(("size", "patch"), CROWDED)
@pytest.mark.parametrize("num_channels", [1, 3])
def test_swaps_in_rounds_equal_swaps_one_after_the_other(size, patch, num_channels, generator):
    swaps = [draw_swaps(number, size, patch, generator) for number in (30, 0, 25)]
    views = numbered(3, num_channels, *size)
    expected = views.clone()
    for view, pairs in zip(expected, swaps, strict=True):
        for a, b in pairs:
            index_a, index_b = (slice(None), *a.slices), (slice(None), *b.slices)
            values_a, values_b = view[index_a].clone(), view[index_b].clone()
            view[index_a], view[index_b] = values_b, values_a
    swap_patches_(views, prepare_swaps(swaps, size, num_channels))
    assert torch.equal(views, expected)
    assert not torch.equal(views, numbered(*views.shape))


@pytest.mark.parametrize(("size", "patch"), CROWDED)
def test_no_voxel_belongs_to_two_patches_of_a_round(size, patch, generator):
    swaps = [draw_swaps(30, size, patch, generator) for _ in range(2)]
    prepared = prepare_swaps(swaps, size, 2)
    assert sum(starts.shape[1] for starts in prepared.rounds) == sum(map(len, swaps))
    assert len(prepared.rounds) > 1
    for starts in prepared.rounds:
        voxels = (starts[..., None, None] + prepared.voxels).flatten()
        assert len(voxels.unique()) == len(voxels)


def test_swaps_that_do_not_touch_are_done_in_one_round():
    swaps = [[(Box((i,), (1,)), Box((i + 1,), (1,))) for i in range(0, 8, 2)]]
    prepared = prepare_swaps(swaps, (8,), 1)
    assert len(prepared.rounds) == 1
    views = numbered(1, 1, 8)
    swap_patches_(views, prepared)
    assert views.flatten().tolist() == [1, 0, 3, 2, 5, 4, 7, 6]


def test_without_swaps_nothing_is_prepared():
    assert prepare_swaps([(), ()], (4, 4), 2) is None
