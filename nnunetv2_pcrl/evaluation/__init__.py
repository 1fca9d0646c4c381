"""What trainings with fewer labels achieved: measured, compared with their twin, and shown."""
