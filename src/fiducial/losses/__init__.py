"""What torch and MONAI lack of losses; others are named in `conf/loss` by their own class.

classification    focal loss with softmax, ordinal targets
topology          soft clDice
boundary          boundary loss
overlap           soft Dice, which both are combined with
detection         a centre-point detector's
"""

from fiducial.losses.boundary import DiceBoundary
from fiducial.losses.classification import FocalLoss, levels, ordinal_probabilities
from fiducial.losses.detection import CenterPointLoss
from fiducial.losses.topology import SoftDiceClDice

__all__ = ["CenterPointLoss", "DiceBoundary", "FocalLoss", "SoftDiceClDice", "levels", "ordinal_probabilities"]
