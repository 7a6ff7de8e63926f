"""Pictures of a run, drawn to be read at full size in a browser: about 1000 pixels wide.

    style            colours, sizes and names that all pictures share
    curves           learning curves
    confusion        which class is taken for which
    ranking          ROC and precision-recall
    reliability      does 80 % confidence mean 80 % right
    mistakes         the images on which the network is most wrong
    forest           differences of settings from a reference
    settings         runs and intervals of a sweep's settings, side by side
    modalities       a score for every choice of modalities
    overlay          masks over images
    anatomical       the three planes of a volume
    class_scores     how scores of cases spread, class by class
    froc             how many boxes are found, at how many false positives
    box_overlay      boxes over images
    activation       where a classifier looked
    search           a search's history, importance and Pareto front
    parallel         a search's trials, a line each

Every function returns a matplotlib figure that belongs to nobody else: no global state, no display. Nothing here
imports torch.
"""

from fiducial.reports.figures.confusion import confusion_matrix
from fiducial.reports.figures.curves import learning_curves
from fiducial.reports.figures.forest import ForestRow, forest
from fiducial.reports.figures.mistakes import Mistake, rank_mistakes, worst_mistakes
from fiducial.reports.figures.ranking import roc_and_precision_recall
from fiducial.reports.figures.reliability import reliability
from fiducial.reports.figures.style import save

__all__ = [
    "ForestRow",
    "Mistake",
    "confusion_matrix",
    "forest",
    "learning_curves",
    "rank_mistakes",
    "reliability",
    "roc_and_precision_recall",
    "save",
    "worst_mistakes",
]
