import pytest
from pydantic import Field

from nnunetv2_pcrl.settings.base import Settings


class Small(Settings):
    count: int = Field(2, ge=1, description="how many")
    size: tuple[float, ...] = Field((1.0, 2.0), description="how large")
    is_on: bool = Field(False, description="whether")


def test_lists_of_the_plans_file_are_taken_as_tuples_and_whole_numbers_as_numbers():
    settings = Small.from_values({"size": [1, 2.5]}, "small")
    assert settings.size == (1.0, 2.5)
    assert settings.as_plain() == {"count": 2, "size": [1.0, 2.5], "is_on": False}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, '"count" must be greater than or equal to 1, got 0'),
        ({"count": True}, '"count" must be a valid integer, got True'),
        ({"count": 2.0}, '"count" must be a valid integer, got 2.0'),
        ({"count": "2"}, "\"count\" must be a valid integer, got '2'"),
        ({"is_on": 1}, '"is_on" must be a valid boolean, got 1'),
        ({"size": [float("nan")]}, '"size.0" must be a finite number, got nan'),
        ({"size": 3}, '"size" must be a valid tuple, got 3'),
        ({"cuont": 3}, r'unknown setting in section "small".*did you mean "count"'),
    ],
)
def test_what_does_not_fit_is_named_with_its_value_and_the_section(values, message):
    with pytest.raises(ValueError, match=message) as error:
        Small.from_values(values, "small")
    assert 'section "small"' in str(error.value)


def test_all_problems_are_said_at_once():
    with pytest.raises(ValueError, match='"count".*; "is_on"'):
        Small.from_values({"count": 0, "is_on": "yes"}, "small")


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Small().count = 3
