"""What members are worth over time: survival times value, observed and extrapolated apart."""
