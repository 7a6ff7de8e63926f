"""What a data set holds, before anything is learned from it.

content     the facts: an `Inspection`
terminal    as tables
page        as one HTML page
thumbnail   an image as a small PNG
"""
