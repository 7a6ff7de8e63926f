"""What is done with a configuration: a verb a file, each reads as a paragraph.

train, evaluate, predict, compare
folder            what a run's folder is called and holds
build             from configuration to data, task and trainer
peers             the other processes of a data-parallel run
provenance        where a run comes from, logged before it starts
outcome           what came out of it (results of a kind: classified, segmented; pictures draws the figures)
predict_masks     masks of new images
memory, profile, quiet
"""
