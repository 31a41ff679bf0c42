"""What goes with leaving: Cox models on cells, whether effects last, and what exposure goes with."""
