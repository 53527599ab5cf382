"""Stores timings, serves latency tables, draws the dashboard."""

from contract.early import quiet_interrupts

quiet_interrupts()
