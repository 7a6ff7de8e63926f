"""Protocol words of a description; whatever else somebody typed there is left out."""

from __future__ import annotations

import re
from collections.abc import Collection

_CODES = """
AR BDUS BI BMD CR CT DG DX ECG ES FA FS GM IO IVOCT IVUS KER LEN LS MG MR NM OAM OCT OP OPM OPT OPTENF OT PT PX RF RG
RTIMAGE RTDOSE SC SEG SM TG US VA XA XC
"""
_SEQUENCES = """
t1 t2 t1w t2w pd pdw flair stir tirm dwi adc swi dti dsc dce asl bold fmri tof mra mrv mrcp fse tse se gre ge ir epi
haste ssfp fiesta trufi flash spgr bravo mprage mp2rage space cube vibe lava thrive dixon fat water fatsat fs spair
spir inphase outphase opp phase magnitude map cine tagging lge trace
pre post gd gad contrast ce native plain arterial venous portal portovenous delayed late early dynamic
"""
_PLANES = """
ax axial tra transverse sag sagittal cor coronal obl oblique 2d 3d 4d iso isotropic thin thick mpr mip minip reformat
recon localizer scout survey topogram scanogram reg registered crop vol volume series image images
"""
_ANATOMY = """
head brain skull neck orbit sinus face chest thorax lung lungs heart cardiac coronary aorta breast mammo abdomen abd
liver kidney kidneys spleen pancreas bowel colon pelvis prostate uterus bladder hip knee ankle foot hand wrist elbow
shoulder spine cspine tspine lspine cervical thoracic lumbar sacrum bone soft tissue hippo hippocampus retina fundus
macula disc eye vessel vessels carotid
"""
_OTHERS = """
ct cta ctpa hrct cect ncct kernel sharp smooth standard std lowdose pet fdg suv ac nac wb whole body attenuation
corrected uncorrected pa ap lat lateral frontal cc mlo left right bilateral bmode mmode doppler color colour flow echo
apical parasternal subcostal long short axis view us
"""
MODALITIES = frozenset(_CODES.split())
WORDS = frozenset((_SEQUENCES + _PLANES + _ANATOMY + _OTHERS).split())


def protocol_words(text: str, identifiers: Collection[str] = ()) -> str:
    """Return the words of a description that name a protocol, lower case, without those of the person.

    Numbers and unknown words are dropped, as anything may stand there.

    >>> protocol_words("T1post AX Mrs Doe 12.3.1961, brain"), protocol_words("FLAIR_reg")
    ('t1 post ax brain', 'flair reg')
    """
    taken = {part.casefold() for part in identifiers}
    found = [part for word in re.split(r"[\W_]+", text.lower()) for part in _parts(word)]
    return " ".join(dict.fromkeys(word for word in found if word not in taken))


def _parts(word: str) -> tuple[str, ...]:
    """Return a known word, or the two known words of more than one letter that it is made of."""
    if word in WORDS:
        return (word,)
    halves = ((word[:cut], word[cut:]) for cut in range(2, len(word) - 1))
    return next((pair for pair in halves if WORDS.issuperset(pair)), ())
