"""From checked plans to published reports: kernels, the engine that tells the truth, one run and many."""
