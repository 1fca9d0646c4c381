"""What the evaluation of LUNA16 fixes: its rates, the marks that count, and its file."""

# False positives per scan at which the challenge asks for the sensitivity.
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
# The challenge looks at the highest marks of a scan only.
MARKS_PER_SCAN = 100
# Bootstrap samples of scans.
NUM_RESAMPLES = 1000
# The published tables of nodules, and of findings that are neither nodules nor false positives.
ANNOTATIONS = "annotations.csv"
EXCLUDED = "annotations_excluded.csv"
