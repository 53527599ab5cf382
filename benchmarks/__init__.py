"""Measured by hand, never in a timed test."""
