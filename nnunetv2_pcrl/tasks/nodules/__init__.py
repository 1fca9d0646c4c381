"""Lung nodules of LUNA16: candidates become cubes, cubes scores, and scores a FROC curve."""
