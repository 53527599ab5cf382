"""What makes a program fast, behind one seam: a folder for each backend, and their registry."""
