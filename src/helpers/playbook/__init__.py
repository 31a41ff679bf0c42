"""What to do about it: findings, actions, and the thresholds that may fire them."""
