"""XNNPACK: how it is lowered to and quantised for, what its events and its rounding mean."""
