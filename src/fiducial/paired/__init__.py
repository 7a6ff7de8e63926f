"""Is a difference real? Paired comparisons on the same cases, clustered by subject, over repeated runs. No torch.

estimate      a score with its sampling errors, in a form in which a difference is a subtraction
delong        of the area under the ROC curve
resampling    of any other score, by the bootstrap over subjects
repetition    several runs of one setting: what cases and what runs add to the error of their mean, and of a difference
moderation    variances between few runs, steadied by those of other settings
mcnemar       exact test of two networks' right and wrong answers
wilcoxon      signed-rank test of subjects' means
holm          many tests at once
power         how many cases it would take
"""

from fiducial.paired.delong import auroc
from fiducial.paired.estimate import Estimate, mean_over_cases
from fiducial.paired.holm import Holm, holm
from fiducial.paired.mcnemar import discordant_needed, mcnemar, num_discordant
from fiducial.paired.moderation import moderate
from fiducial.paired.power import POWER, cases_needed
from fiducial.paired.repetition import Effect, Pooled, Runs, Scale, difference, pool
from fiducial.paired.resampling import resampled, resampled_mean
from fiducial.paired.wilcoxon import wilcoxon

__all__ = [
    "POWER",
    "Effect",
    "Estimate",
    "Holm",
    "Pooled",
    "Runs",
    "Scale",
    "auroc",
    "cases_needed",
    "difference",
    "discordant_needed",
    "holm",
    "mcnemar",
    "mean_over_cases",
    "moderate",
    "num_discordant",
    "pool",
    "resampled",
    "resampled_mean",
    "wilcoxon",
]
