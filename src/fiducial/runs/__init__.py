"""What is done with a configuration: a verb a file, each reads as a paragraph.

train             fit, test and report one run
evaluate          score a run's checkpoint again
predict           apply a run's network to image files (predict_masks, predict_boxes: masks and boxes of them)
predict_masks     masks of new images
predict_boxes     boxes of new images
compare           settings on the same cases
comparison        what a comparison is made of: members, settings, measures, verdicts
inspect           what a data set holds
modalities        a run scored for every choice of modalities
explain           where in an image a classifier's answer comes from

folder            what a run's folder is called and holds
build             from a configuration to data, task and trainer
peers             the other processes of a data-parallel run
provenance        where a run comes from, logged before it starts
outcome           what came out of a run: scores, predictions, pictures, a summary
results           what came out of a task: a class a kind of prediction
classified        such results of labels
segmented         such results of masks
detected          such results of boxes
pictures          the figures of a run
box_pictures      images with their boxes
reader            image files as a run's images
advice            what is said where a library's message names no way out
profile           where the time of a training step goes
quiet             warnings of libraries that are no news
"""
