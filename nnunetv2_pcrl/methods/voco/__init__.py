"""VoCo: where a crop lies in its volume, told from its overlap with a grid of crops."""
