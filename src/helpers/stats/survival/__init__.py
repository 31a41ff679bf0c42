"""How long until: product limits from cells, their exact limits, comparisons and restricted means."""
