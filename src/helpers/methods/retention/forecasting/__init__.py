"""Who is about to fall silent: person-period models, judged forward in time, and the lists that follow."""
