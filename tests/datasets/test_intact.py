import gzip

import numpy as np
import pytest
import SimpleITK
from raw_images import write_image

from nnunetv2_pcrl.datasets.intact import check_is_intact
from nnunetv2_pcrl.datasets.nifti import voxel_pieces

ARRAY = np.random.default_rng(0).integers(0, 999, (8, 9, 10)).astype(np.int16)


def write(path, compressed: bool = True):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ARRAY), str(path), compressed)
    return path


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd", ".nii", ".mhd"])
@pytest.mark.parametrize("compressed", [True, False])
def test_sound_images_pass(tmp_path, ending, compressed):
    check_is_intact(write(tmp_path / f"a{ending}", compressed))


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.nrrd", "a.zraw"])
@pytest.mark.parametrize("place", [0.4, 0.9])
def test_a_flipped_bit_is_found(tmp_path, name, place):
    image = write(tmp_path / ("a.mhd" if name == "a.zraw" else name))
    content = bytearray((tmp_path / name).read_bytes())
    content[int(place * len(content))] ^= 8
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="the compressed file is (damaged|truncated)"):
        check_is_intact(image)


def test_voxels_come_in_pieces_as_they_are_stored(tmp_path):
    path = write_image(tmp_path / "a.nii", ARRAY)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(path.read_bytes()[:999]) * 1)
    for file in (path, write(tmp_path / "c.nii.gz")):
        np.testing.assert_array_equal(np.concatenate(list(voxel_pieces(file))), ARRAY.ravel())
