"""Measures operators on devices and posts their timings."""

from contract.early import quiet_interrupts

quiet_interrupts()
