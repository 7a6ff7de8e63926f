"""Many runs: planned, started, watched, gone on with, summed up.

sweep        from a command line to its summary
plan         what would be run
estimate     how long it would take
probe        a few steps of a run, measured for that
axes         what differs between the runs of a sweep, and which runs are repetitions of one setting
ledger       which runs there are already
job          one run of a sweep: what a process is told to start it, and what it says of its end
worker       what a process of a sweep does
nesting      runs that a sweep takes over
warm         everything that a run imports, and images that all runs read
head_start   the warm process, begun before everything is composed
slots        how many jobs run at once on this machine, and what each gets of it
pool         processes forked from a warm one, each with one job
launcher     the pool as a Hydra launcher
app          runs as jobs of Hydra's own
cluster      what jobs on other machines have in common
slurm        jobs of SLURM
ray          tasks of a Ray cluster
board        the live table
summary      what came out, setting by setting
search       settings proposed by Optuna
pruning      a run of a search asks whether it is worth going on
"""
