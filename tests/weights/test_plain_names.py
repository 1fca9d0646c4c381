"""What a file of others may name: one file in one folder, one number."""

import pytest

from nnunetv2_pcrl.weights.plain_names import plain_name, plain_number

REFUSED_NAMES = [
    "../x",
    "..",
    ".",
    " .. ",
    "",
    "  ",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "C:\\x",
    "a\0b",
    "a\nb",
    "a\x1b[31mb",
    "half \ud800 character",
    "x" * 256,
    "ä" * 128,
    3,
    None,
    True,
    ["a"],
    b"a",
]


@pytest.mark.parametrize("name", REFUSED_NAMES, ids=ascii)
def test_names_that_could_leave_their_folder_are_refused(name):
    with pytest.raises(ValueError, match="case name .* is no plain file name; rename it"):
        plain_name(name, "case name")


def test_the_refusal_shows_the_name_in_one_bounded_line():
    with pytest.raises(ValueError, match=r"^case name '\.\./x' is no plain file name"):
        plain_name("../x", "case name")
    with pytest.raises(ValueError, match=r"a\\nb") as error:
        plain_name("a\nb" + "x" * 1000, "case name")
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    "name", ["la_003", "case.1", "..a", "-x", "CT 12 (a)", "Lüge_Ä", "画像", "x" * 255]
)
def test_plain_names_pass_as_they_are(name):
    assert plain_name(name, "case name") == name


@pytest.mark.parametrize("value", [-1, 1.0, True, "3", "../../x", None, [1], 10**30])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="fold .* is no whole number from 0 on"):
        plain_number(value, "fold")


def test_numbers_pass_as_they_are():
    assert [plain_number(value, "fold") for value in (0, 17)] == [0, 17]
