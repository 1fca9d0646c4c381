"""Raw data sets: their images and how they are written. Knows files, and nothing of networks."""
