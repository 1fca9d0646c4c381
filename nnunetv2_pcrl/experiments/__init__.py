"""Trainings with fewer labels: which, how they are started, and what of them is finished."""
