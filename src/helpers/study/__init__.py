"""What every method starts from: common parameters, activity, days and stays of members."""
