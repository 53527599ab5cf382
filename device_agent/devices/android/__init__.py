"""An Android phone as a place to measure: what it is, its state, its storage, its runner."""
