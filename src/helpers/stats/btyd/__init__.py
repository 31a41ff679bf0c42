"""Buy till you die: BG/NBD and Gamma-Gamma on cells."""
