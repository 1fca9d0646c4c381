"""Console commands nnUNetv2_pcrl_*: read arguments, call the package, report to a person."""
