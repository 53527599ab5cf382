"""What surrounds every request: who sends it, how much of it is taken, how it is refused, what is
told of it afterwards."""
