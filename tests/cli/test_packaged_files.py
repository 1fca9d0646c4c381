"""The odd files that other packages test their readers with, as a person's folder of images."""

import csv
from pathlib import Path

import nibabel
import pydicom
import pytest

from nnunetv2_pcrl.cli.from_folder import main

pytestmark = pytest.mark.slow

FOLDERS = {
    "pydicom": Path(pydicom.__file__).parent / "data" / "test_files",
    "nibabel": Path(nibabel.__file__).parent / "tests" / "data",
}


@pytest.mark.parametrize("package", FOLDERS)
def test_a_folder_of_odd_files_ends_with_a_list(package, nnunet_folders, capsys):
    images = FOLDERS[package]
    if not images.is_dir():
        pytest.skip(f"{package} is installed without its test files")
    with pytest.raises(SystemExit, match="^1$"):
        main([str(images), "-d", "21", "--name", "Odd"])
    assert "files or series cannot be used" in capsys.readouterr().out
    with open(nnunet_folders / "nnUNet_raw" / "Dataset021_Odd" / "manifest.csv") as file:
        rows = list(csv.DictReader(file))
    assert all(row["note"] for row in rows if not row["identifier"])
    assert any(row["identifier"] for row in rows)
