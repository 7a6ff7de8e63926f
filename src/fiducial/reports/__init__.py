"""What is shown of a run.

predictions        the table of what was predicted for each case
case_scores        scores of each case: masks, boxes, images
detections         boxes of cases as JSON
detection_scores   scores of boxes with their intervals
modality_scores    test scores for every choice of modalities: terminal, CSV
figures            pictures, drawn to be read
summary            tables in the terminal
comparison         settings beside each other: terminal, page, CSV, LaTeX
inspection         what a data set holds: terminal, page
progress           one line while a run trains
"""
