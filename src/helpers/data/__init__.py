"""Where tables come from: contract, source, privacy."""
