"""What is exported, how, under which name it is cached, and what it must compute."""
