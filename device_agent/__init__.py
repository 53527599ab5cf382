"""Measures operators on devices and posts their timings."""
