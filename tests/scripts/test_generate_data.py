"""The generated data sets: reproducible, geometrically true, and labelled as nnU-Net expects."""

import json
from pathlib import Path

import generate_data
import numpy as np
import pytest
import SimpleITK
from generate_data import KINDS, generate_dataset, write_nifti
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

pytestmark = pytest.mark.slow

SIZE = (12, 20, 20)


def draw_case(kind: str, index: int = 0, size=SIZE, seed: int = 0):
    return KINDS[kind].generate_case(np.random.default_rng([seed, 0, index]), size)


def generate(kind: str, raw_folder: Path, **changes) -> Path:
    arguments = {"num_training": 2, "num_test": 1, "size": SIZE} | changes
    return generate_dataset(kind, raw_folder, 901, "Demo", **arguments)


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    paths = sorted(folder.rglob("*.nii.gz"))
    return {p.name: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(p)) for p in paths}


@pytest.fixture(scope="module", params=["ct", "mr"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    return generate(kind, tmp_path_factory.mktemp("raw"))


def test_equal_seeds_give_equal_files_and_other_seeds_give_others(kind, folder, tmp_path):
    first = read_arrays(folder)
    again = read_arrays(generate(kind, tmp_path / "again"))
    other = read_arrays(generate(kind, tmp_path / "other", seed=1))
    assert first.keys() == again.keys() == other.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert not np.array_equal(array, other[name])


def test_more_cases_leave_the_earlier_ones_as_they_are(kind, folder, tmp_path):
    more = read_arrays(generate(kind, tmp_path, num_training=3, num_test=2))
    fewer = read_arrays(folder)
    assert more.keys() > fewer.keys()
    for name, array in fewer.items():
        np.testing.assert_array_equal(array, more[name])


def test_training_and_test_cases_differ(folder):
    arrays = read_arrays(folder)
    assert not np.array_equal(arrays["Demo_Tr_000.nii.gz"], arrays["Demo_Ts_000.nii.gz"])


def test_nifti_stores_the_spacing_in_the_order_of_the_axes(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write_nifti(tmp_path / "image.nii.gz", array, (3.0, 1.5, 1.25))
    image = SimpleITK.ReadImage(tmp_path / "image.nii.gz")
    assert image.GetSize() == (4, 3, 2)
    assert image.GetSpacing() == pytest.approx((1.25, 1.5, 3.0))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), array)


def test_images_and_labels_have_the_geometry_of_the_drawn_case(kind, folder):
    for split, cases in (("Tr", 2), ("Ts", 1)):
        assert len(list((folder / f"labels{split}").iterdir())) == cases
        for label_path in (folder / f"labels{split}").iterdir():
            label = SimpleITK.ReadImage(label_path)
            stem = label_path.name.removesuffix(".nii.gz")
            images = sorted((folder / f"images{split}").glob(f"{stem}_*.nii.gz"))
            assert len(images) == len(KINDS[kind].channel_names)
            for image in map(SimpleITK.ReadImage, images):
                assert image.GetSize() == label.GetSize()
                assert image.GetSpacing() == label.GetSpacing()
                assert image.GetOrigin() == label.GetOrigin()
                assert image.GetDirection() == label.GetDirection()
    case = draw_case(kind)
    written = SimpleITK.ReadImage(folder / "labelsTr" / "Demo_Tr_000.nii.gz")
    assert written.GetSize()[::-1] == case.labels.shape
    assert written.GetSpacing()[::-1] == pytest.approx(case.spacing_mm)


def test_sizes_vary_by_a_tenth_and_so_do_spacings(kind):
    cases = [draw_case(kind, index) for index in range(6)]
    shapes = np.array([case.labels.shape for case in cases])
    assert (abs(shapes - SIZE) <= np.multiply(0.1, SIZE) + 0.5).all()
    assert len({case.labels.shape for case in cases}) > 1
    assert len({case.spacing_mm for case in cases}) == len(cases)


def test_ct_is_anisotropic_and_mr_isotropic():
    through_plane, *in_plane = draw_case("ct").spacing_mm
    assert 2.7 < through_plane < 3.3
    assert in_plane == pytest.approx([1.5, 1.5], abs=0.15)
    assert len(set(draw_case("mr").spacing_mm)) == 1


def test_every_ct_has_a_liver_and_most_have_tumours_within_it():
    cases = [draw_case("ct", index) for index in range(20)]
    assert all((case.labels == 1).any() for case in cases)
    assert sum((case.labels == 2).any() for case in cases) >= 14
    assert {value for case in cases for value in np.unique(case.labels)} == {0, 1, 2}


def test_ct_values_are_plausible_hounsfield_units():
    for index in range(4):
        case = draw_case("ct", index, size=(16, 40, 40))
        image = case.image[0]
        assert image.dtype == np.int16
        assert image.min() >= -1024
        assert 250 < image.max() <= 1500
        assert np.median(image[:, 0, 0]) == pytest.approx(-1000, abs=30)  # air beside the body
        assert 40 < np.median(image[case.labels == 1]) < 90
        if (case.labels == 2).any():
            tumour, liver = (np.median(image[case.labels == label]) for label in (2, 1))
            assert 10 < tumour < liver - 10


def test_every_mr_has_three_nested_regions_at_any_size():
    for index in range(20):
        case = draw_case("mr", index)
        assert np.unique(case.labels).tolist() == [0, 1, 2, 3]
        # Necrosis lies in the middle of what enhances, oedema around both.
        centre = np.argwhere(case.labels == 1).mean(0)
        distance = [
            np.linalg.norm(np.argwhere(case.labels == label) - centre, axis=1).mean()
            for label in (1, 3, 2)
        ]
        assert distance == sorted(distance)


def test_mr_is_exactly_zero_outside_the_brain_and_positive_within():
    for index in range(4):
        case = draw_case("mr", index)
        brain = case.image[0] > 0
        assert case.image.dtype == np.float32
        assert 0.2 < brain.mean() < 0.8
        for channel in case.image:
            np.testing.assert_array_equal(channel > 0, brain)
            assert (channel[~brain] == 0).all()
        assert brain[case.labels > 0].all()


def test_mr_channels_show_the_lesion_as_their_weighting_does():
    case = draw_case("mr", size=(24, 40, 40))
    brain = (case.image[0] > 0) & (case.labels == 0)
    t1, t1ce, t2, flair = case.image

    def contrast(channel, label):
        return np.median(channel[case.labels == label]) / np.median(channel[brain])

    assert contrast(t1ce, 3) > 1.2 > contrast(t1, 3)
    assert contrast(flair, 2) > 1.3
    assert contrast(t2, 1) > 1.3
    assert contrast(t1, 1) < 0.8


@pytest.mark.parametrize(
    ("kind", "regions", "expected"),
    [
        ("ct", None, None),
        ("ct", True, [(1, 2), (2,)]),
        ("mr", None, [(1, 2, 3), (1, 3), (3,)]),
        ("mr", False, None),
    ],
)
def test_nnunet_reads_the_regions_from_dataset_json(kind, regions, expected, tmp_path):
    folder = generate(kind, tmp_path, num_training=0, num_test=0, regions=regions)
    description = json.loads((folder / "dataset.json").read_text())
    labels = LabelManager(description["labels"], description.get("regions_class_order"))
    assert labels.has_regions == (expected is not None)
    if expected is not None:
        assert [np.ravel(r).tolist() for r in labels.foreground_regions] == [
            list(region) for region in expected
        ]


@pytest.mark.parametrize("kind_with_regions", ["ct", "mr"])
def test_regions_written_in_nnunets_order_restore_the_label_map(kind_with_regions):
    content = KINDS[kind_with_regions]
    labels = draw_case(kind_with_regions).labels
    restored = np.zeros_like(labels)
    regions = list(content.region_labels.values())[1:]
    for region, value in zip(regions, content.regions_class_order, strict=True):
        restored[np.isin(labels, region)] = value
    np.testing.assert_array_equal(restored, labels)


def test_nnunet_finds_every_training_case(kind, folder):
    cases = get_filenames_of_train_images_and_targets(str(folder))
    assert sorted(cases) == ["Demo_Tr_000", "Demo_Tr_001"]
    assert all(len(c["images"]) == len(KINDS[kind].channel_names) for c in cases.values())


def test_a_second_call_with_equal_parameters_writes_nothing(kind, folder, monkeypatch):
    def fail(*_):
        raise AssertionError("wrote again")

    monkeypatch.setattr(generate_data, "write_cases", fail)
    assert generate(kind, folder.parent) == folder


def test_other_parameters_are_refused_and_leave_the_folder_as_it_is(kind, folder):
    before = read_arrays(folder)
    with pytest.raises(ValueError, match=r"Dataset901_Demo is not empty.*Delete the folder"):
        generate(kind, folder.parent, seed=5)
    assert read_arrays(folder).keys() == before.keys()


def test_a_folder_of_another_origin_is_refused(tmp_path):
    (tmp_path / "Dataset901_Demo").mkdir()
    (tmp_path / "Dataset901_Demo" / "dataset.json").write_text("{}")
    with pytest.raises(ValueError, match=r"has no generated\.json.*choose another dataset id"):
        generate("ct", tmp_path)


def test_unknown_kinds_and_tiny_sizes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Unknown kind 'us': choose one of ct, mr"):
        generate("us", tmp_path)
    with pytest.raises(ValueError, match="choose at least 12 per axis"):
        generate("ct", tmp_path, size=(4, 20, 20))
