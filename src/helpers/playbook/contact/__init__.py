"""Contact lists with a hold-out, and what contact was worth."""
