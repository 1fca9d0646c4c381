"""Console commands nnUNetv2_pcrl_*."""
