"""Increments corrected by lift tests: tested channels follow their test, and what tests show moves the others too.

The model errs by a factor: the truth of a channel is ``1 + c + d`` times what the model says, where c is common to
all channels and d its own, both normal around 0 with one variance. Tests tell how large that is (by moments), and
then everything is one normal conditioning: a test weighs by its precision, a channel without test moves by the common
part alone and keeps an interval as wide as the model was wrong elsewhere. The precision of a test halves with each
`HALF_LIFE_DAYS` of age. Nothing is forced to a sum.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.data.source import local_date
from helpers.methods.attribution.incremental import Increments
from helpers.methods.attribution.journeys import Journeys
from helpers.playbook.evidence import known_evidence

HALF_LIFE_DAYS = 365.0
MEASURED = ("experiment", "go_dark")
UNITS = ("orders", "orders a touch")
TESTS = ["channel", "value", "error", "age_days", "kind", "report"]


def lift_tests(journeys: Journeys, channels: tuple[str, ...]) -> pd.DataFrame:
    """Return what experiments of the table ``evidence``, and of earlier reports of A/B tests, say of channels.

    Rows count whose estimand is lift, whose kind is experiment or go_dark, whose line is a channel, whose unit is one
    of `UNITS` and which were over by the last day; ``orders`` are those that the channel added from start to end, and
    are divided by its touches of these days.

    Returns
    -------
    pandas.DataFrame
        channel; value and error (orders a touch; of an old test the error is larger); age_days; kind; report
        (the earlier report of an A/B test that says it, else empty).
    """
    study, touches = journeys.study, journeys.study.dataset.touchpoints
    rows = known_evidence(study)
    rows = rows[(rows["estimand"] == "lift") & rows["kind"].isin(MEASURED) & rows["unit"].isin(UNITS)]
    rows = rows[(pd.to_datetime(rows["end"]) <= pd.Timestamp(study.as_of)) & rows["start"].notna()]
    found = []
    for row in rows.sort_values(["line", "evidence_id"]).to_dict("records"):
        day, channel = local_date(touches.ts, study.report_tz), touches.channel == row["line"]
        first, last = (pd.Timestamp(row[each]).date() for each in ("start", "end"))
        during = touches.filter(channel, day.between(first, last))
        per = 1.0 if row["unit"] == UNITS[1] else float(during.count().execute())
        age = (study.as_of - last).days
        name = journeys.definition.channels.get(row["line"], row["line"])
        if per and name in channels:
            error = float(row["se"]) / per * 2 ** (age / HALF_LIFE_DAYS / 2)
            found.append((name, float(row["value"]) / per, error, age, row["kind"], row["report"]))
    return pd.DataFrame(found, columns=TESTS)


def calibrate(found: Increments, tests: pd.DataFrame) -> Increments:
    """Return increments that agree with lift tests as far as these are certain; the same without any.

    Parameters
    ----------
    found : Increments
        Of the model.
    tests : pandas.DataFrame
        channel, value, error (orders a touch), as :func:`lift_tests` returns it; a channel may have several.
    """
    if tests.empty:
        return found
    place = np.array([found.channels.index(channel) for channel in tests["channel"]])
    touches = np.maximum(found.touches, 1.0)
    model, covariance = found.orders / touches, found.covariance / np.outer(touches, touches)
    value, error = tests["value"].to_numpy(float), tests["error"].to_numpy(float)
    noise = error**2 + np.diag(covariance)[place]
    beyond = ((value - model[place]) ** 2 - noise) / (model[place] ** 2 + noise)
    spread = max(float(beyond.mean()), 0.0) / 2
    covariance = covariance + spread * (np.outer(model, model) + np.diag(model**2))
    gain = covariance[:, place] @ np.linalg.inv(covariance[np.ix_(place, place)] + np.diag(error**2))
    model = model + gain @ (value - model[place])
    covariance = covariance - gain @ covariance[place]
    return found._replace(orders=model * touches, covariance=covariance * np.outer(touches, touches))
