"""What every method starts from: common parameters, the study, activity, days and stays of members."""

from helpers.study.study import Study

__all__ = ["Study"]
