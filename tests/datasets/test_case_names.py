import pytest

from nnunetv2_pcrl.datasets.case_names import case_name, check_case_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("p1/other scan", "p1_other_scan"),
        ("a.b-c", "a_b-c"),
        ("scan_seg", "scan_seg_image"),
        ("Scan.SEG", "Scan_SEG_image"),
        ("患者", "case"),
        ("--x--", "x"),
    ],
)
def test_names_hold_letters_digits_and_hyphens_and_mean_nothing_else(text, name):
    assert case_name(text, ()) == name


def test_long_names_keep_both_ends_and_differ_when_their_middles_do():
    first, second = (case_name("patient" * 9 + middle + "image" * 9, ()) for middle in "xy")
    assert len(first) == len(second) == 60 and first != second
    assert first.startswith("patientpatient") and first.endswith("imageimage")
    assert first == case_name("patient" * 9 + "x" + "image" * 9, ())


def test_taken_names_get_a_number_within_the_length():
    assert case_name("a b", {"a_b"}) == "a_b_2"
    # Some file systems do not tell capitals apart.
    assert case_name("A b", {"a_b", "a_b_2"}) == "A_b_3"
    long = case_name("x" * 60, ())
    assert case_name("x" * 60, {long}) == "x" * 58 + "_2"


@pytest.mark.parametrize("name", ["a/b", "..", "", "a\\b", "a\nb", "a\0", 3, None])
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(ValueError, match="case name .* is no plain file name"):
        check_case_name(name)


def test_case_names_must_be_found_again_by_nnunet():
    assert check_case_name("1.3.6_seg2") == "1.3.6_seg2"
    with pytest.raises(ValueError, match="'a_seg' ends with \"_seg\", which nnU-Net takes for"):
        check_case_name("a_seg")
