"""Preprocessed cases: reads what numpy slicing reads, opens no label, and says what is wrong."""

import contextlib
import itertools
import zipfile

import blosc2
import numpy as np
import pytest
import torch
from nnunetv2.training.dataloading.nnunet_dataset import (
    comp_blosc2_params,
    nnUNetDatasetBlosc2,
    nnUNetDatasetNumpy,
)

from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError, has_content

SHAPES = [
    pytest.param((1, 1, 40, 48), id="2d"),
    pytest.param((1, 20, 24, 28), id="3d"),
    pytest.param((1, 12, 40, 48), id="anisotropic"),
    pytest.param((4, 12, 20, 24), id="four channels"),
]
FORMATS = ["b2nd", "npy", "npz"]


def noise(shape) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def boxes_of(image_size):
    """The whole image, a box in the middle, the first voxel and the last one."""
    whole = Box((0,) * 3, tuple(image_size))
    middle = Box(
        tuple(size // 4 for size in image_size), tuple(max(1, size // 2) for size in image_size)
    )
    return (
        whole,
        middle,
        Box((0,) * 3, (1,) * 3),
        Box(tuple(size - 1 for size in image_size), (1,) * 3),
    )


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_reading_a_box_equals_slicing_the_array(shape, file_format, write_case, tmp_path):
    image = noise(shape)
    write_case(tmp_path, "case", image, file_format)
    case = PreprocessedCase(tmp_path, "case")
    assert (case.identifier, case.num_channels, case.image_size) == ("case", shape[0], shape[1:])
    for box in boxes_of(shape[1:]):
        region = case.read(box)
        assert region.dtype == torch.float32
        np.testing.assert_array_equal(region.numpy(), image[(slice(None), *box.slices)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dataset_class", [nnUNetDatasetBlosc2, nnUNetDatasetNumpy])
def test_cases_written_by_nnunet_are_read(shape, dataset_class, tmp_path):
    image = noise(shape)
    label = np.zeros((1, *shape[1:]), dtype=np.int16)
    layout = {}
    if dataset_class is nnUNetDatasetBlosc2:
        layout = {"chunks": (1, *shape[1:]), "blocks": (1, 1, *shape[2:])}
    dataset_class.save_case(image, label, {}, str(tmp_path / "case"), **layout)
    case = PreprocessedCase(str(tmp_path), "case")
    for box in boxes_of(shape[1:]):
        np.testing.assert_array_equal(case.read(box), image[(slice(None), *box.slices)])


def test_blocks_outside_the_box_are_not_touched(tmp_path):
    # One chunk of many blocks in nnU-Net's own layout, a tenth of which is damaged.
    shape = (1, 32, 96, 96)
    image = noise(shape)
    blocks, chunks = comp_blosc2_params(shape, shape[1:])
    assert chunks == shape
    label = np.zeros(shape, dtype=np.int16)
    path = tmp_path / "case.b2nd"
    nnUNetDatasetBlosc2.save_case(
        image, label, {}, str(path.with_suffix("")), chunks=chunks, blocks=blocks
    )
    content = path.read_bytes()
    first, last = int(0.5 * len(content)), int(0.6 * len(content))
    path.write_bytes(content[:first] + b"\xff" * (last - first) + content[last:])
    case = PreprocessedCase(tmp_path, "case")
    grid = [range(0, size, side) for size, side in zip(shape[1:], blocks[1:], strict=True)]
    starts = list(itertools.product(*grid))
    assert len(starts) >= 9
    num_good = 0
    for start in starts:
        stop = [min(s + b, n) for s, b, n in zip(start, blocks[1:], shape[1:], strict=True)]
        box = Box(start, tuple(b - a for a, b in zip(start, stop, strict=True)))
        with contextlib.suppress(UnusableCaseError):
            # A damaged block is an error or holds other values.
            num_good += np.array_equal(case.read(box), image[(slice(None), *box.slices)])
    # A tenth of the file touches three of nine blocks at most.
    assert len(starts) * 2 / 3 <= num_good < len(starts)


def test_large_finite_values_are_read_though_their_sum_is_not_finite(write_case, tmp_path):
    image = np.full((1, 4, 6, 8), 3e38, dtype=np.float32)
    write_case(tmp_path, "case", image)
    region = PreprocessedCase(tmp_path, "case").read(Box((0, 0, 0), (4, 6, 8)))
    np.testing.assert_array_equal(region, image)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int16])
@pytest.mark.parametrize("file_format", FORMATS)
def test_other_number_types_are_read_as_float32(dtype, file_format, write_case, tmp_path):
    image = (10 * noise((2, 4, 6, 8))).astype(dtype)
    write_case(tmp_path, "case", image, file_format)
    region = PreprocessedCase(tmp_path, "case").read(Box((1, 2, 3), (2, 3, 4)))
    assert region.dtype == torch.float32
    np.testing.assert_array_equal(region, image[:, 1:3, 2:5, 3:7].astype(np.float32))


@pytest.mark.parametrize("file_format", ["b2nd", "npz"])
def test_what_was_read_shares_no_storage_with_the_opened_case(file_format, write_case, tmp_path):
    image = noise((1, 4, 6, 8))
    write_case(tmp_path, "case", image, file_format)
    case = PreprocessedCase(tmp_path, "case")
    box = Box((0, 0, 0), (4, 6, 8))
    case.read(box).fill_(7.0)
    np.testing.assert_array_equal(case.read(box), image)


def test_what_was_read_shares_no_storage_with_a_mapped_file(write_case, tmp_path, monkeypatch):
    # Stands in for the mapped file, because writing to that ends the whole process.
    mapped = noise((1, 4, 6, 8))
    write_case(tmp_path, "case", mapped, "npy")
    before = mapped.copy()
    monkeypatch.setattr(np, "load", lambda *_, **__: mapped)
    PreprocessedCase(tmp_path, "case").read(Box((0, 0, 0), (4, 6, 8))).fill_(7.0)
    np.testing.assert_array_equal(mapped, before)


def test_the_compressed_file_is_preferred_as_in_nnunet(write_case, tmp_path):
    for number, file_format in enumerate(reversed(FORMATS)):
        write_case(tmp_path, "case", np.full((1, 2, 2, 2), float(number)), file_format)
        assert PreprocessedCase(tmp_path, "case").read(Box((0, 0, 0), (1, 1, 1))) == number


# Labels


def test_labels_that_are_missing_or_damaged_do_not_matter(write_case, tmp_path):
    image = noise((1, 4, 6, 8))
    for identifier in ("without", "damaged"):
        write_case(tmp_path, identifier, image)
    for suffix in ("_seg.b2nd", "_seg.npy", ".pkl"):
        (tmp_path / f"damaged{suffix}").write_bytes(b"this is no label")
    for identifier in ("without", "damaged"):
        region = PreprocessedCase(tmp_path, identifier).read(Box((0, 0, 0), (4, 6, 8)))
        np.testing.assert_array_equal(region, image)


def test_a_damaged_label_inside_an_npz_does_not_matter(write_case, tmp_path):
    image = noise((1, 4, 6, 8))
    path = write_case(tmp_path, "case", image, "npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("seg.npy", b"this is no label")
    region = PreprocessedCase(tmp_path, "case").read(Box((0, 0, 0), (4, 6, 8)))
    np.testing.assert_array_equal(region, image)


# Unusable cases


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("file_format", FORMATS)
def test_values_that_are_not_finite_make_the_case_unusable_where_they_are_read(
    value, file_format, write_case, tmp_path
):
    image = noise((2, 4, 6, 8))
    image[1, 3, 5, 7] = value
    write_case(tmp_path, "case", image, file_format)
    case = PreprocessedCase(tmp_path, "case")
    assert torch.isfinite(case.read(Box((0, 0, 0), (3, 6, 8)))).all()
    with pytest.raises(UnusableCaseError, match=r"values that are not finite \(NaN or infinite\)"):
        case.read(Box((2, 0, 0), (2, 6, 8)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnusableCaseError, match=r"there is no case\.b2nd, case\.npy or case\.npz"):
        PreprocessedCase(tmp_path, "case")


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("content", [b"", b"this is no image" * 100], ids=["empty", "garbage"])
def test_a_file_that_is_no_image_is_unusable_with_a_reason(content, file_format, tmp_path):
    (tmp_path / f"case.{file_format}").write_bytes(content)
    with pytest.raises(UnusableCaseError, match=r"its file cannot be opened \(.+\)"):
        PreprocessedCase(tmp_path, "case")


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("part", [0.01, 0.5, 0.95])
def test_a_truncated_file_is_unusable_with_a_reason(part, file_format, write_case, tmp_path):
    path = write_case(tmp_path, "case", noise((2, 12, 20, 24)), file_format)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UnusableCaseError, match=r"its file cannot be (opened|read) \(.+\)"):
        PreprocessedCase(tmp_path, "case").read(Box((0, 0, 0), (12, 20, 24)))


def test_a_damaged_block_is_unusable_with_a_reason(write_case, tmp_path):
    path = write_case(tmp_path, "case", noise((2, 12, 20, 24)))
    content = path.read_bytes()
    # Past the header and the first chunk's own header, as from a broken disk.
    path.write_bytes(content[:2000] + b"\xff" * 20_000 + content[22_000:])
    with pytest.raises(UnusableCaseError, match=r"its file cannot be (opened|read) \(.+\)"):
        PreprocessedCase(tmp_path, "case").read(Box((0, 0, 0), (12, 20, 24)))


def test_an_archive_without_an_image_is_unusable(tmp_path):
    np.savez_compressed(tmp_path / "case.npz", seg=np.zeros((1, 2, 2, 2)))
    with pytest.raises(UnusableCaseError, match="data"):
        PreprocessedCase(tmp_path, "case")


def test_a_blosc2_file_that_holds_no_array_is_unusable(tmp_path):
    blosc2.SChunk(data=b"this is no array", urlpath=str(tmp_path / "case.b2nd"), mode="w")
    with pytest.raises(UnusableCaseError, match="its"):
        PreprocessedCase(tmp_path, "case")


@pytest.mark.parametrize("shape", [(20, 24, 28), (24, 28), (1, 1, 20, 24, 28), (1, 0, 4, 4)])
def test_arrays_without_channels_or_voxels_are_unusable(shape, tmp_path):
    np.save(tmp_path / "case.npy", np.zeros(shape, dtype=np.float32))
    with pytest.raises(UnusableCaseError, match=r"its array has shape \(\d+, "):
        PreprocessedCase(tmp_path, "case")


# Content


@pytest.mark.parametrize("size", [(8, 9), (6, 8, 9)])
def test_a_region_has_content_if_one_channel_varies_in_every_box(size):
    start = (10, 20, 30)[: len(size)]
    region_box = Box(start, size)
    corner = Box(start, (2,) * len(size))
    far = Box(tuple(stop - 2 for stop in region_box.stop), (2,) * len(size))
    region = torch.full((3, *size), 5.0)
    region[1] = -7.0
    assert not has_content(region, [region_box], region_box)
    last_voxel = (2, *[s - 1 for s in size])
    region[last_voxel] = 5.1
    assert has_content(region, [region_box], region_box)
    assert has_content(region, [far], region_box)
    assert not has_content(region, [corner], region_box)
    assert not has_content(region, [far, corner], region_box)
    assert not has_content(region, [corner, far], region_box)


def test_channels_that_differ_only_from_one_another_are_no_content():
    region = torch.stack([torch.full((4, 4), value) for value in (0.0, 1.0, 2.0)])
    box = Box((0, 0), (4, 4))
    assert not has_content(region, [box], box)


def test_a_box_that_sticks_out_of_the_region_is_looked_at_where_it_lies_in_it():
    # A view that samples less than its box reads a region smaller than the box.
    region = torch.zeros(1, 6, 6)
    region_box = Box((2, 2), (6, 6))
    box = Box((1, 1), (8, 8))
    assert not has_content(region, [box], region_box)
    region[0, 5, 5] = 1.0
    assert has_content(region, [box], region_box)
