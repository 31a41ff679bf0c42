"""Cox models on cells."""
