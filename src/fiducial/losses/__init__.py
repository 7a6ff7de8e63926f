"""What torch and MONAI lack of losses; others are named in `conf/loss` by their own class.

classification    focal loss with softmax, ordinal targets
topology          soft clDice
boundary          boundary loss
overlap           soft Dice, which both are combined with, and Dice plus focal loss
detection         a centre-point detector's
"""

from fiducial.losses.boundary import DiceBoundary
from fiducial.losses.classification import FocalLoss, levels, ordinal_probabilities
from fiducial.losses.detection import CenterPointLoss
from fiducial.losses.overlap import DiceFocal
from fiducial.losses.topology import SoftDiceClDice

__all__ = [
    "CenterPointLoss",
    "DiceBoundary",
    "DiceFocal",
    "FocalLoss",
    "SoftDiceClDice",
    "levels",
    "ordinal_probabilities",
]
