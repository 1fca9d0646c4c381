import pytest

from nnunetv2_pcrl.settings.plans_file import read_section

METHODS = ("pcrlv2", "mae")


def test_a_configuration_without_the_section_changes_nothing():
    assert read_section({"patch_size": [128, 128]}, "mae", METHODS) == {}
    assert read_section({"nnunetv2_pcrl": {"pcrlv2": {"seed": 1}}}, "mae", METHODS) == {}


def test_every_room_has_its_own_section_and_what_is_read_is_a_copy():
    configuration = {"nnunetv2_pcrl": {"mae": {"seed": 1}, "finetune": {"transfer": "encoder"}}}
    section = read_section(configuration, "mae", METHODS)
    assert section == {"seed": 1}
    section["seed"] = 2
    assert configuration["nnunetv2_pcrl"]["mae"]["seed"] == 1
    assert read_section(configuration, "finetune", METHODS) == {"transfer": "encoder"}


@pytest.mark.parametrize("value", [None, [], ["seed", 8], "seed", 8])
def test_a_section_that_is_no_dictionary_is_refused_with_its_value(value):
    with pytest.raises(ValueError, match='"nnunetv2_pcrl" .* must be a dictionary of settings'):
        read_section({"nnunetv2_pcrl": value}, "mae", METHODS)
    with pytest.raises(ValueError, match='"nnunetv2_pcrl.mae" .* must be a dictionary'):
        read_section({"nnunetv2_pcrl": {"mae": value}}, "mae", METHODS)


def test_an_unknown_section_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match='"mea".*did you mean "mae"'):
        read_section({"nnunetv2_pcrl": {"mea": {}}}, "mae", METHODS)


def test_the_section_of_earlier_versions_is_refused_with_where_its_settings_go_now():
    with pytest.raises(ValueError, match='"nnunetv2_pcrl": {"pcrlv2": .*"finetune"'):
        read_section({"pcrlv2": {"seed": 1}}, "pcrlv2", METHODS)
