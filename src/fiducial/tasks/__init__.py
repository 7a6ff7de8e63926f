"""What is learned: a LightningModule a task.

base              optimizer, schedule, losses and scores by epoch, predictions by case
gathering         values of an epoch, joined over batches and processes
classification    one or several labels for a whole image, volume or sequence
detection         boxes around what an image shows (decoding turns maps into boxes)
activation        where a classifier looks
segmentation      a class for each pixel (windows predicts whole cases, postprocessing corrects masks)
"""
