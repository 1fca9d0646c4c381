"""MAE: hidden blocks of a patch are restored."""
