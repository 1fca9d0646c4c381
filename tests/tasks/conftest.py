"""The folder of preprocessed data, for tests that train."""

import pytest


@pytest.fixture
def preprocessed(nnunet_folders):
    """nnUNet_preprocessed."""
    return nnunet_folders / "nnUNet_preprocessed"
