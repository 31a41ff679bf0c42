"""The next period of each member: landmarks, models, judging and calibration."""
