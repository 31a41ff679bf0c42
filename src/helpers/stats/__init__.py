"""The statistics, each once: numbers in, an estimate or a small frame out."""
