"""Moments as a person reads them."""

from datetime import UTC, datetime


def age(moment: datetime, now: datetime) -> str:
    """`3 hours ago`, in the largest unit that fits."""
    seconds = (now - moment).total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def stamp(moment: datetime) -> str:
    """`2026-01-31 23:59 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
