"""Base crops that tile, queries inside them, and their overlaps."""

import dataclasses
import math

import pytest
import torch

from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.methods.voco.method import VoCo
from nnunetv2_pcrl.methods.voco.views import DrawnCrops, grid_cells, overlaps_of
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import UnusableCaseError
from nnunetv2_pcrl.views.channels import Channels

pytestmark = pytest.mark.usefixtures("one_thread")

PLANS = {
    "2d": PlanFacts((32, 48), 4, (0.8, 0.8), ((1, 1), (2, 2), (2, 2)), 2),
    "3d": PlanFacts((16, 16, 24), 2, (1.0,) * 3, ((1,) * 3, (2,) * 3, (2,) * 3), 1),
    "anisotropic": PlanFacts((6, 24, 24), 2, (5.0, 0.8, 0.8), ((1, 1, 1), (1, 2, 2), (1, 2, 2)), 3),
}
STILL = {"p_mirror": 0.0, "noise_std": 0.0, "log_gamma": 0.0, "contrast": 0.0}
every_plan = pytest.mark.parametrize("facts", PLANS.values(), ids=PLANS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def method_of(facts: PlanFacts, **settings) -> VoCo:
    return VoCo(settings_for(VoCo, facts, settings), facts)


def image_sizes(facts: PlanFacts) -> list[tuple[int, ...]]:
    """Larger than the grid, as large, smaller, and odd."""
    return [
        tuple(3 * s + 3 for s in facts.patch_size),
        tuple(9 * s // 4 for s in facts.patch_size),
        tuple(max(4, s // 2 + 1) for s in facts.patch_size),
        tuple(s + 5 for s in facts.patch_size),
    ]


def draw(facts: PlanFacts, size, seed: int = 0, **settings) -> DrawnCrops:
    return (
        method_of(facts, **settings)
        .recipe()
        .draw(size, Channels.unmeasured(facts.num_channels), seeded(seed))
    )


def made(facts: PlanFacts, image: torch.Tensor, seed: int = 0, **settings):
    drawn = draw(facts, image.shape[1:], seed, **settings)
    return drawn, drawn.prepared().make(image[(slice(None), *drawn.region.slices)])


# Grid


@pytest.mark.parametrize(
    ("tiled", "grid"),
    [
        (Box((0, 0), (192, 192)), (3, 3)),
        (Box((5, 2), (17, 10)), (3, 4)),
        (Box((1, 0, 7), (9, 31, 30)), (1, 3, 3)),
        (Box((1, 0, 7), (9, 31, 30)), (2, 2, 2)),
        (Box((3, 3), (3, 5)), (3, 3)),
    ],
)
def test_cells_tile_the_region_exactly(tiled, grid):
    cells = grid_cells(tiled, grid)
    assert len(cells) == math.prod(grid)
    count = torch.zeros(tiled.stop, dtype=torch.int)
    for cell in cells:
        count[cell.slices] += 1
    assert (count[tiled.slices] == 1).all() and int(count.sum()) == tiled.volume
    for axis in range(len(grid)):
        sizes = {cell.size[axis] for cell in cells}
        assert max(sizes) - min(sizes) <= 1


# Overlaps, of 3 x 3 cells of 64


CELLS = grid_cells(Box((0, 0), (192, 192)), (3, 3))


def overlap_at(*start: int) -> list[float]:
    return overlaps_of([Box(start, (64, 64))], CELLS)[0].tolist()


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ((0, 0), {0: 1.0}),
        ((32, 32), {0: 0.25, 1: 0.25, 3: 0.25, 4: 0.25}),
        ((16, 0), {0: 0.75, 3: 0.25}),
        ((0, 16), {0: 0.75, 1: 0.25}),
        ((128, 128), {8: 1.0}),
    ],
)
def test_overlaps_are_parts_of_the_query(start, expected):
    assert overlap_at(*start) == [expected.get(number, 0.0) for number in range(9)]


def test_overlaps_are_mirrored_with_the_query():
    for start in ((10, 50), (77, 128), (3, 64)):
        there = torch.tensor(overlap_at(*start)).view(3, 3)
        back = torch.tensor(overlap_at(128 - start[0], start[1])).view(3, 3)
        assert torch.equal(there.flip(0), back)


def test_a_query_that_leaves_the_grid_would_be_placed_in_part_only():
    assert sum(overlap_at(160, 0)) == 0.5


def test_overlaps_are_those_of_volumes_where_all_axes_have_cells():
    cells = grid_cells(Box((0, 0, 0), (8, 8, 8)), (2, 2, 2))
    found = overlaps_of([Box((1, 0, 2), (4, 4, 4))], cells)[0].view(2, 2, 2)
    # 3/4 and 1/4 along the first axis, all and nothing, 2/4 and 2/4.
    assert found[:, 0].tolist() == [[0.375, 0.375], [0.125, 0.125]]
    assert float(found[:, 1].abs().sum()) == 0


@every_plan
def test_queries_are_drawn_within_the_grid_so_that_their_overlaps_sum_to_one(facts):
    for size in image_sizes(facts):
        for seed in range(8):
            boxes = draw(facts, size, seed).boxes
            bases, queries = boxes["base crops"], boxes["queries"]
            tiled = bases[0].union(*bases)
            assert sum(base.volume for base in bases) == tiled.volume
            for query in queries:
                assert tiled.contains(query)
                voxels = [query.overlap(base) for base in bases]
                assert sum(voxels) == query.volume
                many = sum(cells > 1 for cells in method_of(facts).settings.grid)
                assert 1 <= sum(v > 0 for v in voxels) <= 2**many


def test_every_place_of_the_grid_is_drawn_the_first_and_the_last_too():
    # Queries of 2 x 2 in a grid of 4 x 4.
    settings = {"grid": [2, 2], "cell_size": [2, 2], "num_queries": 8}
    starts = {
        query.start
        for seed in range(15)
        for query in draw(PLANS["2d"], (4, 4), seed, **settings).boxes["queries"]
    }
    assert starts == {(a, b) for a in range(3) for b in range(3)}


@every_plan
def test_the_grid_covers_what_it_can_of_the_image_and_no_more_than_its_cells(facts):
    settings = method_of(facts).settings
    for size in image_sizes(facts):
        bases = draw(facts, size).boxes["base crops"]
        extent = bases[0].union(*bases).size
        largest = [c * n for c, n in zip(settings.cell_size, settings.grid, strict=True)]
        assert extent == tuple(map(min, largest, size))
        assert Box((0,) * len(size), tuple(size)).contains(bases[0].union(*bases))


def test_images_with_fewer_voxels_than_cells_are_left_out_with_the_reason():
    with pytest.raises(UnusableCaseError, match='2 voxels along axis 1 .* "grid" of 3'):
        draw(PLANS["3d"], (9, 2, 9))


# Crops


def coordinates(size) -> torch.Tensor:
    """An image whose channel a holds the index along axis a."""
    axes = [torch.arange(s, dtype=torch.float32) for s in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


@every_plan
def test_every_crop_shows_its_own_box(facts):
    facts = dataclasses.replace(facts, num_channels=facts.num_axes)
    for size in image_sizes(facts):
        drawn, views = made(facts, coordinates(size), **STILL)
        for name, views_of in (("queries", drawn.queries), ("bases", drawn.bases)):
            for view, crop in zip(views_of, views[name], strict=True):
                for axis, (start, extent) in enumerate(
                    zip(view.place.box.start, view.place.box.size, strict=True)
                ):
                    assert crop[axis].mean().item() == pytest.approx(
                        start + (extent - 1) / 2, abs=0.26
                    )
                    assert crop[axis].min() >= start - 0.51
                    assert crop[axis].max() <= start + extent - 0.49


@every_plan
def test_crops_have_the_size_of_the_view_whatever_their_box(facts):
    settings = method_of(facts).settings
    for size in image_sizes(facts):
        _, views = made(facts, torch.randn(facts.num_channels, *size, generator=seeded(3)))
        crop = (facts.num_channels, *settings.view_size)
        assert views["queries"].shape == (4, *crop)
        assert views["bases"].shape == (settings.num_bases, *crop)
        assert views["overlaps"].shape == (4, settings.num_bases)


@every_plan
def test_mirrored_crops_keep_their_boxes_and_overlaps_and_are_never_turned(facts):
    size = image_sizes(facts)[0]
    image = torch.randn(facts.num_channels, *size, generator=seeded(3))
    plain, plain_views = made(facts, image, **STILL)
    drawn, views = made(facts, image, **{**STILL, "p_mirror": 1.0})
    assert drawn.boxes == plain.boxes
    assert torch.equal(views["overlaps"], plain_views["overlaps"])
    axes = tuple(range(2, image.ndim + 1))
    for name in ("queries", "bases"):
        torch.testing.assert_close(views[name], plain_views[name].flip(axes), atol=1e-4, rtol=1e-4)
    for view in (*draw(facts, size).queries, *draw(facts, size).bases):
        assert set(view.place.deformation.angles) == {0.0}
        assert set(view.place.deformation.scales) == {1.0}


def test_crops_are_mirrored_as_often_as_asked_each_on_its_own():
    facts = PLANS["2d"]
    flips = [
        view.place.deformation.flips
        for seed in range(40)
        for view in draw(facts, (60, 60), seed).bases
    ]
    share = torch.tensor(flips).float().mean(dim=0)
    assert ((share - 0.2).abs() < 0.07).all()
    assert len(set(flips)) == 4


def test_crops_are_changed_in_intensity_each_on_its_own():
    drawn = draw(PLANS["2d"], (60, 60))
    gammas = [view.corruption.gammas for view in (*drawn.queries, *drawn.bases)]
    assert len(set(gammas)) == len(gammas)
    assert all(not v.corruption.swaps and not v.corruption.cut_outs for v in drawn.bases)


@every_plan
def test_queries_must_have_content(facts):
    drawn = draw(facts, image_sizes(facts)[0])
    assert drawn.must_vary == tuple(view.place.box for view in drawn.queries)
