import gzip

import numpy as np
import pytest
from raw_images import write_image

from nnunetv2_pcrl.datasets.nifti import check_is_complete


@pytest.fixture(params=[".nii", ".nii.gz"])
def image(request, tmp_path):
    array = np.random.default_rng(0).integers(0, 99, (8, 9, 10)).astype(np.int16)
    return write_image(tmp_path / f"image{request.param}", array)


def test_a_complete_image_passes(image):
    check_is_complete(image)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_a_truncated_image_is_refused(image, part):
    content = image.read_bytes()
    image.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"truncated|ends within its header"):
        check_is_complete(image)


def test_a_compressed_file_that_was_truncated_before_compression_is_refused(tmp_path):
    path = write_image(tmp_path / "a.nii", np.ones((8, 9, 10), dtype=np.int16))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()[:-100]))
    with pytest.raises(ValueError, match=r"truncated: 1692 of 1792 bytes"):
        check_is_complete(tmp_path / "a.nii.gz")


def test_a_file_of_several_gzip_members_passes(tmp_path):
    path = write_image(tmp_path / "a.nii", np.ones((8, 9, 10), dtype=np.int16))
    content = path.read_bytes()
    members = gzip.compress(content[:700]) + gzip.compress(content[700:])
    (tmp_path / "a.nii.gz").write_bytes(members)
    check_is_complete(tmp_path / "a.nii.gz")


def test_files_of_other_formats_pass(tmp_path):
    (tmp_path / "image.mha").write_bytes(b"")
    check_is_complete(tmp_path / "image.mha")
