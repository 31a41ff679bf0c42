"""Which channel deserves the credit for an order, what it added, and what that says about money."""
