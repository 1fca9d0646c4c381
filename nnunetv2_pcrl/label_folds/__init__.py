"""Label folds: folds with fewer labelled cases, appended to those of nnU-Net."""
