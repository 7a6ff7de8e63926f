"""From scores and differences to intervals and verdicts: where all settings and tests must be seen together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, isnan, sqrt

from fiducial import paired
from fiducial.objective import lower_is_better
from fiducial.paired import Effect, Holm, Scale
from fiducial.paired.repetition import ROUNDING
from fiducial.reports.comparison.content import PairedTest, Score, Verdict
from fiducial.runs.comparison.measure import Contrast, Sample
from fiducial.wording import counted

LEVEL = 0.05  # of the whole family of tests


@dataclass(frozen=True)
class Measured:
    """What is kept of a setting: not the errors of its cases, which would fill the memory.

    Attributes:
        means: by metric, the mean over repetitions.
        scales: by metric, what it can be.
        contrasts: by metric, the setting against the reference; none for the reference.
    """

    means: Mapping[str, Effect]
    scales: Mapping[str, Scale]
    contrasts: Mapping[str, Contrast]

    @classmethod
    def of(cls, samples: Mapping[str, Sample], contrasts: Mapping[str, Contrast]) -> Measured:
        """Return the summary of a setting."""
        means = {metric: paired.pool(sample.estimates).effect for metric, sample in samples.items()}
        return cls(means, {metric: sample.scale for metric, sample in samples.items()}, contrasts)

    @property
    def repetitions(self) -> int:
        """How often the setting was repeated."""
        return next(iter(self.means.values())).runs[0].num


def scores_and_tests(settings: Sequence[Measured]) -> tuple[list[dict[str, Score]], list[dict[str, PairedTest]]]:
    """Return the scores of each setting and its tests against the reference, which is the first.

    Variances between runs are drawn towards that of all settings; all tests are one family.
    """
    steady = {
        metric: paired.moderate([setting.means[metric].runs[0] for setting in settings]) for metric in settings[0].means
    }
    scores = [
        {metric: _score(mean, steady[metric][number], setting.scales[metric]) for metric, mean in setting.means.items()}
        for number, setting in enumerate(settings)
    ]
    contrasts = [
        {
            metric: _steadied(found, steady[metric][number], steady[metric][0])
            for metric, found in setting.contrasts.items()
        }
        for number, setting in enumerate(settings)
    ]
    return scores, _decided(contrasts)


def cautions(settings: Sequence[Measured]) -> Iterator[str]:
    """Yield what a reader must know of the tests."""
    if single := sum(setting.repetitions == 1 for setting in settings):
        yield (
            f"settings with one seed: {single} of {len(settings)}; verdicts about them are about the trained networks, "
            "and leave open what another seed would give"
        )
    for metric in settings[1].contrasts:
        if most := max(setting.contrasts[metric].undefined for setting in settings[1:]):
            yield (
                f"{metric} is undefined for up to {counted(most, 'case')} in one of two settings but not in the other: "
                "left out of the difference, which may favour the setting that failed on them"
            )
        effects = [setting.contrasts[metric].effect for setting in settings[1:] if isnan(setting.contrasts[metric].p)]
        if untested := sum(abs(effect.value) > ROUNDING for effect in effects):
            yield (
                f"{metric} differs in {counted(untested, 'setting')} without a test: no case varies, or of one class "
                "there are too few subjects to know how they do"
            )


def _steadied(found: Contrast, ours: paired.Runs, theirs: paired.Runs) -> Contrast:
    if found.undefined:  # its variances are of fewer cases than those of the settings
        return found
    return replace(found, effect=replace(found.effect, runs=(ours, theirs)))


def _score(mean: Effect, runs: paired.Runs, scale: Scale) -> Score:
    """Return a score whose interval rests on the steadied variance; the deviation shown is the setting's own."""
    low, high = replace(mean, runs=(runs,)).interval(scale=scale)
    return Score(mean.value, low, high, sqrt(mean.runs[0].variance))


def _decided(contrasts: Sequence[Mapping[str, Contrast]]) -> list[dict[str, PairedTest]]:
    adjusted = iter(paired.holm([found.p for row in contrasts for found in row.values()], LEVEL))
    return [{metric: _test(metric, found, next(adjusted)) for metric, found in row.items()} for row in contrasts]


def _needed(found: Contrast, level: float) -> float:
    """Return the number of cases at which the difference that was seen would be told from none.

    An exact test needs so many discordant subjects, too, however much they agree.
    """
    needed = paired.cases_needed(found.effect, found.cases, level)
    if found.exact is None:
        return needed
    return max(needed, found.cases * paired.discordant_needed(level) / found.discordant)


def _test(metric: str, found: Contrast, holm: Holm) -> PairedTest:
    verdict: Verdict = "cannot tell"
    needed = None
    if holm.adjusted < LEVEL:
        verdict = "better" if (found.effect.value < 0) == lower_is_better(metric) else "worse"
    elif isfinite(found.effect.error()) and abs(found.effect.value) > ROUNDING and not isnan(found.p):
        needed = _needed(found, holm.level)
    low, high = found.effect.interval()
    return PairedTest(
        name=found.name,
        difference=found.effect.value,
        low=low,
        high=high,
        p=found.p,
        adjusted=holm.adjusted,
        verdict=verdict,
        cases=found.cases,
        cases_needed=needed,
        second=found.second,
        kind=found.kind,
        every=found.every,
    )
