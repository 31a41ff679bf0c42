"""Pictures of the retention notebook. Each takes a result, says one thing and returns a chart."""

from helpers.methods.outlook.plots import calibration, model_contest
from helpers.methods.retention.plots.curves import (
    retention_trend,
    return_curves,
    survival_curves,
    tier_comparison,
)
from helpers.methods.retention.plots.models import (
    hazard_ratios,
    lifecycle_flow,
    lifetime_curve,
    value_deciles,
)

__all__ = [
    "calibration",
    "hazard_ratios",
    "lifecycle_flow",
    "lifetime_curve",
    "model_contest",
    "retention_trend",
    "return_curves",
    "survival_curves",
    "tier_comparison",
    "value_deciles",
]
