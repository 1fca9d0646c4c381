import pytest

from nnunetv2_pcrl.datasets.placing import place


def test_a_link_takes_the_place_of_an_equal_copy_but_never_of_another_file(tmp_path):
    source, other = tmp_path / "a.nii", tmp_path / "b.nii"
    source.write_text("image")
    other.write_text("another")
    place(source, tmp_path / "copy.nii", link=False)
    place(source, tmp_path / "copy.nii", link=True)
    assert (tmp_path / "copy.nii").readlink() == source
    for target in (other, tmp_path / "copy.nii"):
        with pytest.raises(ValueError, match="exists and is no link to .*c.nii: remove one"):
            (tmp_path / "c.nii").write_text("third image")
            place(tmp_path / "c.nii", target, link=True)
    assert other.read_text() == "another"
