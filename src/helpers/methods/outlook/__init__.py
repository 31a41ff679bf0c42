"""The next period: who falls silent, who orders, what members will bring, whom to contact."""
