"""Scores of an epoch or of a case.

classification    from the probabilities of all cases, in torch
segmentation      of one case from its masks: overlap, volume, ranking, distances, in NumPy
boxes             overlap, hits and doubles of boxes
detection         FROC and average precision of all cases together, in NumPy
localisation      of a map, against boxes
surface           distances between the borders of two masks, in mm
skeleton          centre lines of thin structures
"""

from fiducial.metrics.classification import (
    calibration_error,
    classification_scores,
    confusion_matrix,
    predicted_labels,
)

__all__ = ["calibration_error", "classification_scores", "confusion_matrix", "predicted_labels"]
