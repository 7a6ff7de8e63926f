"""What is shown of a run.

predictions   the table of what was predicted for each case
figures       pictures, drawn to be read
summary       tables in the terminal
comparison    settings beside each other: terminal, page, CSV, LaTeX
progress      one line while a run trains
"""
