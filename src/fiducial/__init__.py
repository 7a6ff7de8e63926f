"""Fiducial: one composed configuration into one tracked, reproducible medical-imaging experiment."""

__version__ = "0.1.0"
