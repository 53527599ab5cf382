"""Stores timings, serves latency tables, draws the dashboard."""
