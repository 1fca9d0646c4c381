"""The PCRLv2 recipe: which views are drawn, where they come from, what is clean and what is not."""

import dataclasses
import itertools

import pytest
import torch
from recipes import changed, recipe

from nnunetv2_pcrl.methods.pcrlv2.views import DrawnViews
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.channels import Channels

pytestmark = pytest.mark.usefixtures("one_thread")

IN_2D = recipe((24, 24), (12, 12), (0.8, 0.8), swapped_part=0.0, num_cut_outs=3, contrast=0.4)
IN_3D = recipe((16, 16, 16), (8, 8, 8), (1.0, 1.0, 1.0))
ANISOTROPIC = recipe((8, 24, 24), (4, 12, 12), (5.0, 0.8, 0.8))

# (image size, settings)
CASES = [
    pytest.param((40, 48), IN_2D, id="2d"),
    pytest.param((30, 34, 32), IN_3D, id="3d"),
    pytest.param((12, 40, 48), ANISOTROPIC, id="anisotropic"),
    pytest.param((17, 20), IN_2D, id="2d smaller than a view"),
    pytest.param((9, 50, 10), IN_3D, id="3d smaller than a view"),
    pytest.param((1, 40, 48), ANISOTROPIC, id="one slice"),
    pytest.param((1, 1, 1), IN_3D, id="one voxel"),
]
LARGE_CASES = CASES[:3]

STILL = {"rotation_degrees": 0.0, "deformation_scale": 0.0}
CLEAN = {
    "swapped_part": 0.0,
    "num_cut_outs": 0,
    "blur_sigma": 0.0,
    "noise_std": 0.0,
    "log_gamma": 0.0,
    "contrast": 0.0,
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_image(image_size, channels: int = 2) -> torch.Tensor:
    return torch.randn(channels, *image_size, generator=seeded(1))


def coordinates(image_size) -> torch.Tensor:
    """An image whose channel a holds the index along axis a."""
    axes = [torch.arange(size, dtype=torch.float32) for size in image_size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


Views = dict[str, torch.Tensor]
TENSORS = ("target", "global_views", "local_views")


def draw_and_make(image, settings, seed: int = 0) -> tuple[DrawnViews, Views]:
    drawn = settings.draw(image.shape[1:], Channels.unmeasured(image.shape[0]), seeded(seed))
    return drawn, make_drawn(image[(slice(None), *drawn.region.slices)], drawn)


def make_drawn(region, drawn: DrawnViews) -> Views:
    return drawn.prepared().make(region)


def all_views(drawn: DrawnViews):
    return (*drawn.global_views, *drawn.local_views)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize(("image_size", "settings"), CASES)
def test_views_have_the_sizes_of_the_settings_and_finite_values(image_size, settings, channels):
    image = noise_image(image_size, channels)
    for seed in range(5):
        _, views = draw_and_make(image, settings, seed)
        assert views["target"].shape == (1, channels, *settings.settings.global_size)
        assert views["global_views"].shape == (2, channels, *settings.settings.global_size)
        assert views["local_views"].shape == (6, channels, *settings.settings.local_size)
        for tensor in (views["target"], views["global_views"], views["local_views"]):
            assert tensor.dtype == torch.float32
            assert torch.isfinite(tensor).all()


@pytest.mark.slow
@pytest.mark.parametrize(("image_size", "settings"), CASES)
def test_boxes_lie_where_the_method_wants_them(image_size, settings):
    settings = changed(settings, **CLEAN)
    image = Box((0,) * len(image_size), image_size)
    generator = seeded()
    for _ in range(100):
        drawn = settings.draw(image_size, Channels.unmeasured(1), generator)
        first, second = (view.place.box for view in drawn.global_views)
        assert image.contains(drawn.region)
        assert image.contains(first)
        assert image.contains(second)
        assert first.iou(second) >= settings.settings.min_iou - 1e-9
        union = first.union(second)
        assert len(drawn.local_views) == 6
        assert all(union.contains(view.place.box) for view in drawn.local_views)


@pytest.mark.parametrize(("image_size", "settings"), CASES)
def test_no_view_needs_a_voxel_outside_the_region(image_size, settings):
    settings = changed(settings, rotation_degrees=40.0, deformation_scale=0.4)
    image = noise_image(image_size)
    whole = Box((0,) * len(image_size), image_size)
    for seed in range(6):
        drawn, views = draw_and_make(image, settings, seed)
        from_image = make_drawn(image, dataclasses.replace(drawn, region=whole))
        for name in TENSORS:
            torch.testing.assert_close(views[name], from_image[name], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("image_size", "settings"), CASES)
def test_equal_generators_make_equal_views_and_others_do_not(image_size, settings):
    image = noise_image(image_size)
    drawn, views = draw_and_make(image, settings, 3)
    torch.manual_seed(99)
    again, views_again = draw_and_make(image, settings, 3)
    other, _ = draw_and_make(image, settings, 4)
    assert drawn == again
    assert drawn != other
    for name in TENSORS:
        assert torch.equal(views[name], views_again[name])


@pytest.mark.parametrize(("image_size", "settings"), CASES)
def test_the_region_is_left_as_it_is(image_size, settings):
    image = noise_image(image_size)
    drawn = settings.draw(image_size, Channels.unmeasured(2), seeded())
    region = image[(slice(None), *drawn.region.slices)].clone()
    before = region.clone()
    make_drawn(region, drawn)
    assert torch.equal(region, before)


@pytest.mark.parametrize(("image_size", "settings"), CASES)
def test_target_inputs_and_region_share_no_storage(image_size, settings):
    for changes in ({}, CLEAN, CLEAN | STILL):
        settings = changed(settings, **changes)
        image = noise_image(image_size)
        before = image.clone()
        _, views = draw_and_make(image, settings)
        target = views["target"].clone()
        tensors = [image, views["target"], views["global_views"], views["local_views"]]
        storages = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        assert len(storages) == 4
        views["global_views"].fill_(7.0)
        views["local_views"].fill_(7.0)
        assert torch.equal(views["target"], target)
        views["target"].fill_(7.0)
        assert torch.equal(image, before)


@pytest.mark.parametrize(("image_size", "settings"), LARGE_CASES)
def test_the_target_is_clean_and_the_input_is_not(image_size, settings):
    # Views of the coordinates are affine in the view's own coordinates until they are corrupted.
    # The far image borders keep every deformed sample away from repeated values.
    pad = 20
    image = coordinates([size + 2 * pad for size in image_size])
    whole = Box((0,) * len(image_size), tuple(image.shape[1:]))
    drawn = settings.draw(image_size, Channels.unmeasured(len(image_size)), seeded())

    def moved(view):
        box = Box(tuple(s + pad for s in view.place.box.start), view.place.box.size)
        return dataclasses.replace(view, place=dataclasses.replace(view.place, box=box))

    drawn = DrawnViews(
        tuple(moved(view) for view in drawn.global_views),
        tuple(moved(view) for view in drawn.local_views),
        whole,
    )
    views = make_drawn(image, drawn)

    def bend(view):
        return max(view.diff(n=2, dim=axis).abs().max() for axis in range(1, view.ndim))

    assert bend(views["target"][0]) < 1e-3
    for view in (*views["global_views"], *views["local_views"]):
        assert bend(view) > 0.05


@pytest.mark.parametrize(("image_size", "settings"), CASES)
def test_the_first_global_view_is_the_corrupted_target_and_the_second_is_another(
    image_size, settings
):
    image = noise_image(image_size)
    _, views = draw_and_make(image, changed(settings, **CLEAN))
    torch.testing.assert_close(views["global_views"][0], views["target"][0], atol=1e-4, rtol=1e-4)
    _, corrupted = draw_and_make(image, settings)
    assert (corrupted["global_views"][0] - corrupted["target"][0]).abs().mean() > 0.02
    if image_size != (1, 1, 1):
        assert (views["global_views"][1] - views["target"][0]).abs().mean() > 0.02


@pytest.mark.parametrize(("image_size", "settings"), CASES)
def test_every_view_shows_its_own_box(image_size, settings):
    settings = changed(settings, **STILL, **CLEAN)
    for seed in range(5):
        drawn, views = draw_and_make(coordinates(image_size), settings, seed)
        plans = [drawn.global_views[0], *all_views(drawn)]
        made = [*views["target"], *views["global_views"], *views["local_views"]]
        for view, plan in zip(made, plans, strict=True):
            for axis, (start, size) in enumerate(
                zip(plan.place.box.start, plan.place.box.size, strict=True)
            ):
                seen = view[axis]
                # Voxel centres at start..stop - 1; a sample lies half a voxel beyond at most.
                assert seen.min() >= start - 0.51
                assert seen.max() <= start + size - 0.49
                assert seen.mean().item() == pytest.approx(start + (size - 1) / 2, abs=0.2)


@pytest.mark.parametrize(("image_size", "settings"), CASES)
def test_local_views_show_nothing_but_the_union_box(image_size, settings):
    settings = changed(settings, **STILL, **CLEAN)
    for seed in range(10):
        drawn, views = draw_and_make(coordinates(image_size), settings, seed)
        union = Box.union(*(view.place.box for view in drawn.global_views))
        low = views["local_views"].transpose(0, 1).flatten(1).min(1).values
        high = views["local_views"].transpose(0, 1).flatten(1).max(1).values
        assert (low >= torch.tensor(union.start) - 0.51).all()
        assert (high <= torch.tensor(union.stop) - 0.49).all()


@pytest.mark.parametrize(("image_size", "settings"), LARGE_CASES)
def test_no_two_views_are_drawn_alike(image_size, settings):
    drawn = settings.draw(image_size, Channels.unmeasured(2), seeded())
    for a, b in itertools.combinations(all_views(drawn), 2):
        assert a.place.deformation != b.place.deformation
        assert a.corruption != b.corruption
    assert len({view.place.box for view in drawn.local_views}) > 1


@pytest.mark.parametrize(("image_size", "settings"), LARGE_CASES)
def test_only_global_views_are_swapped_and_cut_out(image_size, settings):
    drawn = settings.draw(image_size, Channels.unmeasured(2), seeded())
    for view in drawn.global_views:
        assert bool(view.corruption.swaps) == (settings.settings.swapped_part > 0)
        assert len(view.corruption.cut_outs) == settings.settings.num_cut_outs
    for view in drawn.local_views:
        assert view.corruption.swaps == view.corruption.cut_outs == ()
        assert len(view.corruption.noise_stds) == 2
        assert max(view.corruption.noise_stds) > 0


@pytest.mark.parametrize(
    ("image_size", "settings"),
    [((200, 200), IN_2D), ((80, 80, 80), IN_3D), ((40, 120, 120), ANISOTROPIC)],
    ids=["2d", "3d", "anisotropic"],
)
def test_in_large_images_global_crops_are_shrunk_and_local_ones_enlarged(image_size, settings):
    settings = changed(settings, **CLEAN)
    generator = seeded()
    for _ in range(50):
        drawn = settings.draw(image_size, Channels.unmeasured(1), generator)
        for view in drawn.global_views:
            for crop, size in zip(view.place.box.size, view.place.size, strict=True):
                assert size <= crop <= round(1.75 * size)
        for view in drawn.local_views:
            for crop, size in zip(view.place.box.size, view.place.size, strict=True):
                assert round(0.5 * size) <= crop <= size


@pytest.mark.parametrize("num_local", [1, 3])
def test_there_are_as_many_local_views_as_asked_for(num_local):
    settings = changed(ANISOTROPIC, num_local=num_local)
    _, views = draw_and_make(noise_image((12, 40, 48)), settings)
    assert views["local_views"].shape[0] == num_local


def test_channels_keep_their_places():
    image = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 12, 40, 48)
    _, views = draw_and_make(image, changed(ANISOTROPIC, noise_std=0.0))
    expected = torch.arange(4.0)
    torch.testing.assert_close(views["target"][0].flatten(1).mean(1), expected)
    for view in (*views["global_views"], *views["local_views"]):
        torch.testing.assert_close(view.flatten(1).mean(1), expected)
