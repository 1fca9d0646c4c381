"""Converts a download of lits into a raw data set of nnU-Net: see --help."""

from nnunetv2_pcrl.cli.convert import lits

if __name__ == "__main__":
    lits()
