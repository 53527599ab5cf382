"""This computer: its runner is a child process."""
