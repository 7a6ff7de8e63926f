"""DICOM studies as cases, without the people in them.

pseudonym    the secret key, and what is derived from it: ids, UIDs, days by which dates are shifted
deidentify   PS3.15 Annex E on one dataset; description keeps protocol words only
series       files → slices → series, each at one size and orientation
geometry     slices in order, even spacing, the affine to mm
pixels       values in real units, photometric inversion, windows
annotation   text burned into pixels: announced, suspected, masked
segmentation masks of SEG objects on the grid of their series
segments     which class each of their segments is
conversion   one series → one file
study        folders → images, cases.csv and a report
report       what was changed and what was refused
labels       joined to cases by patient, study or series
identity     what names a person in a dataset
guard        keeps what DICOM files say of a person out of what a run logs
"""
