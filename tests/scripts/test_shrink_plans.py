import copy

import pytest
from prepared_dataset import configuration, plans
from shrink_plans import shrink_plans


def planned(dim: int, strides: list, patch_size: list) -> dict:
    """Plans with one configuration of the given strides and patch."""
    values = configuration(dim, patch_size=patch_size)
    kwargs = values["architecture"]["arch_kwargs"]
    stages = len(strides)
    kwargs |= {
        "n_stages": stages,
        "strides": strides,
        "kernel_sizes": [[3] * dim] * stages,
        "features_per_stage": [32 * 2**i for i in range(stages)],
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
    }
    return plans({"3d_fullres": values})


@pytest.mark.parametrize(
    ("dim", "strides", "patch", "expected_patch", "expected_stages"),
    [
        (3, [[1] * 3] + [[2] * 3] * 5, [128] * 3, [64] * 3, 5),
        (3, [[1] * 3, [1, 2, 2], [1, 2, 2], [2] * 3], [16, 160, 160], [16, 64, 64], 4),
        (2, [[1] * 2] + [[2] * 2] * 7, [512, 384], [64, 64], 5),
        (3, [[1] * 3, [2] * 3, [2] * 3], [20, 24, 24], [20, 24, 24], 3),
    ],
)
def test_the_patch_fits_the_strides_and_leaves_a_bottleneck(
    dim, strides, patch, expected_patch, expected_stages
):
    small = shrink_plans(planned(dim, strides, patch), "Small", 8, 64, 64, 3)
    values = small["configurations"]["3d_fullres"]
    kwargs = values["architecture"]["arch_kwargs"]
    assert values["patch_size"] == expected_patch
    assert values["batch_size"] == 3
    assert kwargs["n_stages"] == expected_stages
    lengths = {name: len(v) for name, v in kwargs.items() if isinstance(v, list)}
    assert lengths.pop("n_conv_per_stage_decoder") == expected_stages - 1
    assert set(lengths.values()) == {expected_stages}
    assert kwargs["features_per_stage"] == [min(8 * 2**i, 64) for i in range(expected_stages)]


def test_the_given_plans_are_not_modified_and_preprocessed_data_stay_valid():
    original = planned(3, [[1] * 3] + [[2] * 3] * 5, [128] * 3)
    before = copy.deepcopy(original)
    small = shrink_plans(original, "Small", 8, 64, 64, 2, {"pcrlv2": {"batch_size": 8}})
    assert original == before
    for name in ("spacing", "data_identifier", "normalization_schemes"):
        values = small["configurations"]["3d_fullres"]
        assert values[name] == original["configurations"]["3d_fullres"][name]
    assert values["nnunetv2_pcrl"] == {"pcrlv2": {"batch_size": 8}}
    assert small["plans_name"] == "Small"


def test_cascades_and_inherited_configurations_are_left_out():
    original = planned(3, [[1] * 3] + [[2] * 3] * 3, [64] * 3)
    original["configurations"]["3d_cascade_fullres"] = {
        "inherits_from": "3d_fullres",
        "previous_stage": "3d_lowres",
    }
    assert list(shrink_plans(original, "S", 8, 64, 64, 2)["configurations"]) == ["3d_fullres"]


def test_coarser_voxels_keep_the_extent_and_are_preprocessed_anew():
    original = planned(3, [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2]], [10, 160, 160])
    values = original["configurations"]["3d_fullres"]
    values |= {"spacing": [10.0, 1.5, 1.5], "median_image_size_in_voxels": [9.0, 160.0, 144.0]}
    small = shrink_plans(original, "Coarse", 8, 64, 64, 2, min_spacing=4)
    coarse = small["configurations"]["3d_fullres"]
    # Thicker slices stay.
    assert coarse["spacing"] == [10.0, 4, 4]
    assert coarse["median_image_size_in_voxels"] == [9.0, 60.0, 54.0]
    # 60 voxels, in halves of halves of halves.
    assert coarse["patch_size"] == [10, 56, 56]
    assert coarse["data_identifier"] == "Coarse_3d_fullres"
    same = shrink_plans(original, "Same", 8, 64, 64, 2, min_spacing=1.5)
    assert same["configurations"]["3d_fullres"]["data_identifier"] == values["data_identifier"]
    assert values["spacing"] == [10.0, 1.5, 1.5]
