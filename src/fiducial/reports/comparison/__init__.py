"""A comparison of settings, to be read.

content    what it says
terminal   tables in the terminal
page       one HTML page
picture    a forest plot
files      CSV and LaTeX
"""
