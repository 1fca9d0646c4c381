import numpy as np
import pytest
from raw_images import ct_array, mr_array, write_image

from nnunetv2_pcrl.preparation import image_fingerprint
from nnunetv2_pcrl.preparation.image_fingerprint import combine_measurements, measure_cases


@pytest.fixture
def measure(tmp_path):
    """Measures images given as arrays; (failed, fingerprint of the others)."""

    def measure(images: dict[str, np.ndarray], channel: str, spacing=(1.0, 1.0, 1.0)):
        paths = {
            name: [str(write_image(tmp_path / f"{name}.nii.gz", array, spacing))]
            for name, array in images.items()
        }
        failed = measure_cases(paths, [channel], "SimpleITKIO", tmp_path / "measured", 1)
        good = [name for name in paths if name not in failed]
        return failed, good and combine_measurements(good, 1, tmp_path / "measured")

    return measure


def test_shape_and_spacing_are_those_of_the_non_zero_region_in_array_order(measure):
    _, fingerprint = measure({"a": mr_array(size=(10, 12, 14))}, "MRI", (0.5, 0.7, 3.0))
    assert fingerprint["shapes_after_crop"] == [[6, 8, 10]]
    assert fingerprint["spacings"] == [pytest.approx([3.0, 0.7, 0.5])]
    assert fingerprint["median_relative_size_after_cropping"] == pytest.approx(480 / 1680)


def test_intensities_are_those_of_the_content(measure):
    image = mr_array(size=(20, 20, 20))
    _, fingerprint = measure({"a": image}, "MRI")
    (statistics,) = fingerprint["foreground_intensity_properties_per_channel"].values()
    content = image[image > 0]
    assert statistics["min"] >= 100
    assert statistics["mean"] == pytest.approx(content.mean(), rel=2e-3)
    assert statistics["std"] == pytest.approx(content.std(), rel=1e-2)
    assert statistics["percentile_99_5"] == pytest.approx(np.percentile(content, 99.5), rel=2e-3)


def test_air_and_padding_do_not_count_in_ct_but_do_in_other_channels(measure):
    _, fingerprint = measure({"a": ct_array()}, "CT")
    (ct,) = fingerprint["foreground_intensity_properties_per_channel"].values()
    assert ct["min"] > -200 and ct["mean"] == pytest.approx(40, abs=2)
    assert ct["std"] == pytest.approx(20, rel=0.1)


def test_the_channel_name_decides_whether_air_counts(measure):
    _, fingerprint = measure({"a": ct_array()}, "MRI")
    (mr,) = fingerprint["foreground_intensity_properties_per_channel"].values()
    assert mr["min"] == -3024


def test_every_case_counts_the_same_whenever_it_was_measured(measure, tmp_path, monkeypatch):
    monkeypatch.setattr(image_fingerprint, "MAX_SAMPLES", 10_000)
    bright = mr_array(1) + 1000 * (mr_array(1) > 0)
    # The more cases, the fewer samples of each: a has fewer than d, which comes after b and c.
    measure({"a": mr_array(), "b": bright, "c": bright}, "MRI")
    paths = {name: [str(tmp_path / f"{name}.nii.gz")] for name in "ad"}
    write_image(tmp_path / "d.nii.gz", bright)
    measure_cases(paths, ["MRI"], "SimpleITKIO", tmp_path / "measured", 1)
    fingerprint = combine_measurements(["a", "d"], 1, tmp_path / "measured")
    (statistics,) = fingerprint["foreground_intensity_properties_per_channel"].values()
    assert statistics["mean"] == pytest.approx((150 + 1150) / 2, rel=0.01)


def test_unusable_images_are_told_with_reasons_and_the_others_measured(tmp_path):
    nan = mr_array()
    nan[4, 4, 4] = np.nan
    images = {"good": mr_array(), "nan": nan, "empty": np.zeros((5, 5, 5), np.int16)}
    # Not NIfTI: its library reads NaN as 0.
    paths = {name: [str(write_image(tmp_path / f"{name}.mha", images[name]))] for name in images}
    failed = measure_cases(paths, ["MRI"], "SimpleITKIO", tmp_path / "measured", 1)
    assert failed == {
        "nan": "the image contains values that are not finite (NaN or infinite)",
        "empty": "all voxels of the image are 0",
    }
    assert (tmp_path / "measured" / "good.npz").is_file()


def test_wrong_channels_and_sizes_are_told(tmp_path):
    one = write_image(tmp_path / "one.nii.gz", mr_array())
    other = write_image(tmp_path / "other.nii.gz", mr_array(size=(9, 12, 14)))
    cases = {"few": [str(one)], "odd": [str(one), str(other)], "gone": ["gone.nii.gz", str(one)]}
    failed = measure_cases(cases, ["T1", "T2"], "SimpleITKIO", tmp_path / "measured", 1)
    assert failed["few"] == "the image has 1 channels (shape (1, 10, 12, 14)), dataset.json names 2"
    assert "Not all input images have the same shape" in failed["odd"]
    assert "(1, 9, 12, 14)" in failed["odd"]
    assert failed["gone"] == "there is no file gone.nii.gz"


def test_only_new_and_changed_images_are_measured_again(measure, tmp_path):
    images = {"a": mr_array(), "b": mr_array(1)}
    measure(images, "MRI")
    files = {name: tmp_path / "measured" / f"{name}.npz" for name in images}
    times = {name: file.stat().st_mtime_ns for name, file in files.items()}
    # The image of b is written again, larger.
    paths = {"a": [str(tmp_path / "a.nii.gz")], "b": [str(tmp_path / "b.nii.gz")]}
    write_image(tmp_path / "b.nii.gz", mr_array(2, (20, 20, 20)))
    measure_cases(paths, ["MRI"], "SimpleITKIO", tmp_path / "measured", 1)
    assert files["a"].stat().st_mtime_ns == times["a"]
    assert files["b"].stat().st_mtime_ns > times["b"]
    shapes = combine_measurements(["a", "b"], 1, tmp_path / "measured")["shapes_after_crop"]
    assert shapes == [[6, 8, 10], [16, 16, 16]]
