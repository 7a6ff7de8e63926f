"""Many runs: planned, started, watched, gone on with, summed up.

job        one run of a sweep: what a process is told to start it, and what it says of its end
axes       what differs between the runs of a sweep, and which runs are repetitions of one setting
ledger     which runs there are already
plan       what would be run, and how long it would take
worker     what a process of a sweep does
warm       everything that a run imports, and images that all runs read
head_start the warm process, begun before everything is composed
pool       processes forked from a warm one, each with one job
launcher   the pool as a Hydra launcher
board      the live table
summary    what came out, setting by setting
sweep      from a command line to its summary
search     settings proposed by Optuna
"""
