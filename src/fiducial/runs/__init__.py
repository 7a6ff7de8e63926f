"""What is done with a configuration: a verb a file, each reads as a paragraph.

train, evaluate, predict, compare
folder            what a run's folder is called and holds
build             from configuration to data, task and trainer
peers             the other processes of a data-parallel run
provenance        where a run comes from, logged before it starts
outcome           what came out of it (pictures draws the figures)
memory, profile, quiet
"""
