"""Cubes, their data set, and scores."""

import pickle

import numpy as np
import pytest
import torch
from preprocessed_scans import painted, preprocess
from torch import nn
from torch.utils.data import DataLoader

from nnunetv2_pcrl.datasets.positions import PROBABILITY, Positions, read_positions
from nnunetv2_pcrl.tasks.nodules import candidates as candidates_module
from nnunetv2_pcrl.tasks.nodules.batches import BalancedBatches, BalancedOrder
from nnunetv2_pcrl.tasks.nodules.candidates import CandidateCubes
from nnunetv2_pcrl.tasks.nodules.cubes import cube_size, cut_cube
from nnunetv2_pcrl.tasks.nodules.scoring import (
    nodule_probabilities,
    score_candidates,
    write_scores,
)
from nnunetv2_pcrl.views.cases import PreprocessedCase

LPS = (1, 0, 0, 0, 1, 0, 0, 0, 1)
MARKERS = {"a": (8, 13, 24), "b": (12, 10, 11)}


@pytest.mark.parametrize(
    ("size_mm", "spacing", "multiple", "expected"),
    [
        (32, (1, 1, 1), 1, (32, 32, 32)),
        (40, (2.5, 0.7, 0.7), 1, (16, 57, 57)),
        (40, (2.5, 0.7, 0.7), 8, (16, 64, 64)),
        (1, (5, 0.5, 0.5), 1, (1, 2, 2)),
    ],
)
def test_a_cube_has_the_asked_size_in_mm(size_mm, spacing, multiple, expected):
    assert cube_size(size_mm, spacing, multiple) == expected


def test_a_cube_of_a_flat_configuration_or_without_size_is_refused():
    with pytest.raises(ValueError, match="3d_fullres or 3d_lowres"):
        cube_size(32, (1, 1))
    with pytest.raises(ValueError, match="has no size"):
        cube_size(0, (1, 1, 1))


@pytest.fixture
def case(tmp_path, write_case):
    image = np.arange(2 * 5 * 6 * 7, dtype=np.float32).reshape(2, 5, 6, 7) + 1
    write_case(tmp_path, "c", image)
    return PreprocessedCase(tmp_path, "c"), image


def test_a_cube_is_a_part_of_the_case(case):
    case, image = case
    cube = cut_cube(case, np.array([2.4, 2.6, 3.0]), (3, 3, 5))
    np.testing.assert_array_equal(cube.numpy(), image[:, 1:4, 2:5, 1:6])


def test_a_cube_at_the_border_is_filled_up_with_zeros(case):
    case, image = case
    cube = cut_cube(case, np.array([0.0, 5.0, 3.0]), (3, 3, 3)).numpy()
    np.testing.assert_array_equal(cube[:, 1:, :2], image[:, :2, 4:6, 2:5])
    assert not cube[:, 0].any() and not cube[:, :, 2].any()


def test_a_cube_outside_of_the_case_is_zero(case):
    assert not cut_cube(case[0], np.array([50.0, -50.0, 3.0]), (3, 3, 3)).any()


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two preprocessed scans, and a candidate on the painted voxel of each beside another."""
    folder = tmp_path_factory.mktemp("scans")
    rows = []
    for name, marker in MARKERS.items():
        image, _ = preprocess(
            folder,
            name,
            painted(marker),
            (0.7, 0.8, 1.25),
            LPS,
            (1.0, 1.0, 1.0),
            [0, 1, 2],
            "SimpleITKIOWithReorient",
        )
        rows.append((name, image.TransformIndexToPhysicalPoint(marker[::-1]), 1))
        rows.append((name, image.TransformIndexToPhysicalPoint((18, 18, 18)), 0))
    return folder, Positions(
        tuple(row[0] for row in rows),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows], dtype=float),
    )


def cubes_of(scans) -> CandidateCubes:
    return CandidateCubes(*scans, size=(5, 5, 5), transpose_forward=[0, 1, 2])


class CentreVoxel(nn.Module):
    """Takes the brightness of the centre for the logit."""

    def forward(self, cubes):
        return cubes[:, 0, 2, 2, 2][:, None] - 5


def test_the_data_set_gives_cubes_with_labels_in_the_order_of_the_table(scans):
    cubes = cubes_of(scans)
    assert len(cubes) == 4 and cubes.labels.tolist() == [1, 0, 1, 0]
    for number in range(4):
        cube, label = cubes[number]
        assert cube.shape == (1, 5, 5, 5) and label == cubes.labels[number]
        assert (cube.argmax() == 62) == (label == 1)


def test_few_cases_stay_open_and_none_goes_to_other_processes(scans, monkeypatch):
    monkeypatch.setattr(candidates_module, "MAX_OPEN_CASES", 1)
    cubes = cubes_of(scans)
    first = [cubes[number][0] for number in (0, 2, 0)]
    torch.testing.assert_close(first[0], first[2])
    assert len(cubes._opened) == 1
    assert not pickle.loads(pickle.dumps(cubes))._opened


def test_a_scan_that_is_not_preprocessed_is_named(scans):
    folder, positions = scans
    others = Positions(("x",), np.zeros((1, 3)), np.zeros(1))
    with pytest.raises(
        ValueError, match="1 of 1 scans with candidates are not in .*, x among them"
    ):
        CandidateCubes(folder, others, (5, 5, 5), [0, 1, 2])


def test_a_damaged_scan_is_named(scans, tmp_path):
    folder, positions = scans
    for ending in (".pkl", ".b2nd"):
        (tmp_path / f"a{ending}").write_bytes((folder / f"a{ending}").read_bytes())
    (tmp_path / "a.b2nd").write_bytes(b"damaged")
    cubes = CandidateCubes(tmp_path, positions.of(["a"]), (5, 5, 5), [0, 1, 2])
    with pytest.raises(ValueError, match="a of .*: its file cannot be"):
        cubes[0]


def test_all_candidates_are_scored_and_written_as_the_challenge_wants_them(scans, tmp_path):
    network = CentreVoxel().train()
    scores = score_candidates(network, cubes_of(scans), torch.device("cpu"), batch_size=3)
    assert network.training
    assert (scores.values[::2] > 0.9).all() and (scores.values[1::2] < 0.1).all()
    write_scores(tmp_path / "scores.csv", scores)
    first = (tmp_path / "scores.csv").read_text().splitlines()[0]
    assert first == "seriesuid,coordX,coordY,coordZ,probability"
    back = read_positions(tmp_path / "scores.csv", PROBABILITY)
    assert back.scans == scores.scans
    np.testing.assert_array_equal(back.points_mm, scores.points_mm)
    np.testing.assert_array_equal(back.values, scores.values)


def test_logits_of_one_and_of_two_classes_are_probabilities_in_full_precision():
    logits = torch.tensor([0.0, 8.0, 8.01], dtype=torch.float32)
    expected = torch.sigmoid(logits)
    torch.testing.assert_close(nodule_probabilities(logits), expected)
    torch.testing.assert_close(nodule_probabilities(logits[:, None]), expected)
    two = torch.stack([torch.zeros(3), logits], 1)
    torch.testing.assert_close(nodule_probabilities(two), expected)
    half = nodule_probabilities(torch.tensor([8.0, 9.0], dtype=torch.float16))
    assert half.dtype == torch.float32 and half[0] < half[1] < 1
    with pytest.raises(ValueError, match=r"of shape \(2, 3\)"):
        nodule_probabilities(torch.zeros(2, 3))


def test_batches_feed_a_loader(scans):
    cubes = cubes_of(scans)
    batches = BalancedBatches(BalancedOrder(cubes.labels, 1, seed=0), 2, 3)
    for images, labels in DataLoader(cubes, batch_sampler=batches):
        assert images.shape == (2, 1, 5, 5, 5) and sorted(labels.tolist()) == [0, 1]
