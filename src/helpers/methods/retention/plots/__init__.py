"""Pictures of the retention notebook. Each takes a result, says one thing and returns a chart."""

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
)

__all__ = [
    "hazard_ratios",
    "lifecycle_flow",
    "lifetime_curve",
    "retention_trend",
    "return_curves",
    "survival_curves",
    "tier_comparison",
]
