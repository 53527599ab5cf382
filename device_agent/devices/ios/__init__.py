"""An iPhone through usbmux, and the benchmark app that runs on it."""
