"""Converts a download of chest_xray14 into a raw data set of nnU-Net: see --help."""

from nnunetv2_pcrl.cli.convert import chest_xray14

if __name__ == "__main__":
    chest_xray14()
