import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from planned_networks import GEOMETRIES, pretraining_network, random_images

from nnunetv2_pcrl.monitoring.probe import (
    PENALTY,
    ProbeScore,
    dice_like,
    fit_ridge,
    probe,
    voxel_features,
)
from nnunetv2_pcrl.monitoring.probe_crops import (
    MOST_CROPS_PER_CASE,
    MOST_VOXELS_PER_CROP,
    LabelledCrop,
    draw_crops,
    split_cases,
)

CPU = torch.device("cpu")


def test_the_classifier_minimises_the_penalised_squares(generator):
    x = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (40,), generator=generator)
    z = (x - x.mean(0)) / x.std(0)
    y = torch.nn.functional.one_hot(labels, 3).double()
    # The same as ordinary least squares with a row per weight that pulls it to 0.
    pulls = (PENALTY * 40) ** 0.5 * torch.eye(6, dtype=torch.float64)
    rows = torch.cat([z, pulls])
    weights = torch.linalg.lstsq(rows, torch.cat([y - y.mean(0), torch.zeros(6, 3)])).solution
    expected = (z @ weights + y.mean(0)).argmax(1)
    assert torch.equal(fit_ridge(x, labels, 3)(x), expected)


def test_the_score_is_a_dice_of_each_foreground_class():
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    found = torch.tensor([0, 1, 1, 1, 2, 0])
    assert dice_like(found, labels, 3) == (2 * 2 / 5, 2 * 1 / 3)
    two_are_missing = dice_like(found, labels.clamp(max=1), 4)
    assert two_are_missing == pytest.approx((2 * 2 / 7, math.nan, math.nan), nan_ok=True)
    assert ProbeScore(two_are_missing).mean == pytest.approx(2 * 2 / 7)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_features_are_those_of_every_level_at_the_voxel(geometry):
    network = pretraining_network(geometry=geometry)
    size = GEOMETRIES[geometry].global_size
    image = random_images(1, *size)
    voxels = torch.tensor([[0] * len(size), [s - 1 for s in size], [s // 2 for s in size]])
    crop = LabelledCrop(image, voxels, torch.zeros(3, dtype=torch.long), "a")
    features = voxel_features(network.backbone, crop, CPU, nullcontext)
    pyramid = network.backbone(image[None])
    assert features.shape == (3, sum(level.shape[1] for level in pyramid))
    finest = pyramid[-1][0]
    expected = torch.stack([finest[(slice(None), *voxel)] for voxel in voxels.tolist()])
    torch.testing.assert_close(features[:, -finest.shape[0] :].float(), expected, atol=1e-5, rtol=0)
    corners = [pyramid[0][0].flatten(1)[:, index] for index in (0, -1)]
    found = features[:2, : pyramid[0].shape[1]].float()
    torch.testing.assert_close(found, torch.stack(corners), atol=1e-5, rtol=0)


def test_features_of_an_encoder_whose_maps_shrink_are_sampled_too():
    image = torch.arange(64.0).view(1, 8, 8)

    def stages(x):
        return [x, torch.nn.functional.avg_pool2d(x, 2)]

    voxels = torch.tensor([[2, 4], [7, 7]])
    crop = LabelledCrop(image, voxels, torch.zeros(2, dtype=torch.long), "a")
    features = voxel_features(stages, crop, CPU, nullcontext)
    assert features[:, 0].tolist() == [20.0, 63.0]
    # Between coarse pixels: a quarter of one before the mean 24.5 of rows 2, 3 and columns 4, 5,
    # where values grow by 16 per coarse row and by 2 per coarse column.
    assert features[0, 1].item() == pytest.approx(24.5 - 16 / 4 - 2 / 4)


def test_what_features_show_is_found_and_noise_is_not(generator):
    class Intensity(torch.nn.Module):
        def forward(self, x):
            return [torch.nn.functional.avg_pool2d(x, 2), x]

    def crops(labels_of) -> list[LabelledCrop]:
        made = []
        for _ in range(3):
            image = torch.randn(1, 16, 16, generator=generator)
            voxels = torch.nonzero(torch.ones(16, 16))
            made.append(LabelledCrop(image, voxels, labels_of(image).flatten().long(), "a"))
        return made

    visible = crops(lambda image: image > 0)
    score = probe(Intensity(), visible[:2], visible[2:], 2, CPU, nullcontext)
    assert score.mean > 0.95
    hidden = crops(lambda image: torch.rand(16, 16, generator=generator) > 0.5)
    assert probe(Intensity(), hidden[:2], hidden[2:], 2, CPU, nullcontext).mean < 0.7


def test_no_case_is_both_fitted_and_scored():
    names = [f"case_{n}" for n in range(30)]
    for training, validation in ((names, names), (names[:20], names[20:]), (names[:2], names[:2])):
        fitting, scoring = split_cases(training, validation, 0)
        assert fitting and scoring and not set(fitting) & set(scoring)
        assert set(fitting) <= set(training) and set(scoring) <= set(validation)
    assert split_cases(names[:1], names[:1], 0)[0] == []


@pytest.mark.parametrize("size", [(16, 16), (8, 16, 16)])
def test_labels_of_crops_are_those_of_the_segmentation(tmp_path, write_case, size):
    random = np.random.default_rng(0)
    labels = random.integers(-1, 4, (1, 12, 24, 20)).astype(np.float32)
    # The image tells where a voxel comes from.
    image = np.arange(labels.size, dtype=np.float32).reshape(labels.shape)
    write_case(tmp_path, "a", image)
    write_case(tmp_path, "a_seg", labels)
    write_case(tmp_path, "no_label", image)
    classes = {0: 0, 1: 1, 3: 2}
    stride = (4,) * len(size)
    crops = draw_crops(tmp_path, ["a", "no_label"], classes, size, stride, 0, 2)
    assert len(crops) == 2
    for crop in crops:
        assert crop.image.shape == (1, *size)
        origin = crop.image[(0, *crop.voxels.T)].long().numpy()
        true = labels.flatten()[origin].clip(0)
        assert [classes[int(value)] for value in true] == crop.labels.tolist()
        assert set(crop.labels.tolist()) == {0, 1, 2}


def test_many_classes_make_no_large_probe(tmp_path, write_case):
    labels = np.zeros((1, 8, 64, 64), np.float32)
    # 40 classes in blocks of 8 x 8, so that each crop holds many.
    for value in range(1, 41):
        row, column = divmod(value - 1, 8)
        labels[..., 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = value
    write_case(tmp_path, "a", np.ones_like(labels))
    write_case(tmp_path, "a_seg", labels)
    classes = {value: value for value in range(41)}
    crops = draw_crops(tmp_path, ["a"], classes, (8, 64, 64), (4, 4, 4), 0, 1)
    assert len(crops) == MOST_CROPS_PER_CASE
    for crop in crops:
        counts = np.bincount(crop.labels, minlength=41)
        assert (counts == MOST_VOXELS_PER_CROP // 41).all()
    # Which classes have a crop differs from case to case.
    centres = set()
    for number in range(6):
        write_case(tmp_path, f"b{number}", np.ones_like(labels))
        write_case(tmp_path, f"b{number}_seg", labels)
        crops = draw_crops(tmp_path, [f"b{number}"], classes, (8, 8, 8), (4, 4, 4), number, 1)
        centres |= {int(crop.labels.mode().values) for crop in crops}
    assert len(centres) > MOST_CROPS_PER_CASE


def test_images_too_small_for_the_network_are_left_out(tmp_path, write_case):
    write_case(tmp_path, "a", np.ones((1, 3, 20, 20), np.float32))
    write_case(tmp_path, "a_seg", np.ones((1, 3, 20, 20), np.float32))
    assert draw_crops(tmp_path, ["a"], {0: 0, 1: 1}, (16, 16, 16), (4, 4, 4), 0, 1) == []


def test_cases_without_a_label_are_passed_over(tmp_path, write_case):
    # As slices of tumours: most hold none.
    names = [f"slice_{number:02}" for number in range(30)]
    for number, name in enumerate(names):
        labels = np.zeros((1, 1, 20, 20), np.float32)
        labels[..., 5:9, 5:9] = number in (5, 11, 12)
        write_case(tmp_path, name, np.ones_like(labels))
        write_case(tmp_path, f"{name}_seg", labels)

    def cases(names: list[str], num_cases: int) -> set[str]:
        crops = draw_crops(tmp_path, names, {0: 0, 1: 1}, (16, 16), (4, 4), 0, num_cases)
        return {crop.case for crop in crops}

    assert cases(names, 2) == {"slice_05", "slice_11"}
    assert cases(names, 4) == {"slice_05", "slice_11", "slice_12"}
    # Not all of a large data set is read for a label that is hardly there.
    assert cases(names[::-1], 1) == set()
