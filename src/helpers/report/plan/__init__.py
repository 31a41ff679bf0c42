"""What is known before anything starts: plan files, checked runs, their keys, and which need no run."""
