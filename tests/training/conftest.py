"""nnU-Net's folders in a temporary place, for tests that train."""

import pytest


@pytest.fixture
def nnunet_folders(nnunet_folders, no_workers):
    """nnU-Net's folders below tmp_path; workers take longer to start than tiny trainings."""
    return nnunet_folders
