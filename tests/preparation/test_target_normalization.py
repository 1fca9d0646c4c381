import pytest

from nnunetv2_pcrl.preparation.target_normalization import target_intensities, target_schemes


def target(schemes: list[str], masks: list[bool], means=(1.0, 2.0)) -> dict:
    intensities = {str(c): {"mean": mean} for c, mean in enumerate(means[: len(schemes)])}
    configuration = {"normalization_schemes": schemes, "use_mask_for_norm": masks}
    return {
        "configurations": {"wide": {"inherits_from": "3d"}, "3d": configuration},
        "foreground_intensity_properties_per_channel": intensities,
    }


def test_channels_of_a_target_that_treats_all_alike_lend_their_scheme_to_any_number():
    configuration = target(["ZScoreNormalization"] * 2, [True, True])["configurations"]["3d"]
    assert target_schemes(configuration, 1) == (["ZScoreNormalization"], [True])
    assert target_schemes(configuration, 3) == (["ZScoreNormalization"] * 3, [True] * 3)


def test_as_many_channels_take_the_schemes_one_by_one():
    schemes = ["CTNormalization", "ZScoreNormalization"]
    configuration = target(schemes, [False, True])["configurations"]["3d"]
    assert target_schemes(configuration, 2) == (schemes, [False, True])
    with pytest.raises(ValueError, match="2 channels in several ways .* these images have 1"):
        target_schemes(configuration, 1)


def test_intensities_are_the_targets_only_where_its_scheme_uses_them():
    own = {"0": {"mean": 10.0}, "1": {"mean": 20.0}}
    mixed = target(["CTNormalization", "ZScoreNormalization"], [False, True])
    assert target_intensities(mixed, 2, own) == {"0": {"mean": 1.0}, "1": {"mean": 20.0}}
    single = target(["CTNormalization"], [False])
    assert target_intensities(single, 2, own) == {"0": {"mean": 1.0}, "1": {"mean": 1.0}}
