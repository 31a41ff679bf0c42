"""Contact lists with a hold-out, so that what contacting them was worth can be measured in the next period.

A list is published with pseudonyms only, split in arms that :mod:`helpers.playbook.contact.trial` assigns and
compares.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd

from helpers.data.privacy import pseudonymise
from helpers.data.source import as_table
from helpers.errors import BadData
from helpers.playbook.contact.trial import HOLDOUT, POWER, assign_arms, detectable_difference
from helpers.sentences import people, percent, quantity, say, with_interval
from helpers.stats.estimate import Estimate, unknown
from helpers.stats.forecast.value_judging import RatioSpread
from helpers.stats.resample import mean_value, value_cells
from helpers.study import Study, enough
from helpers.study.frames import materialise, require_columns, require_unique

BOUNDS = ("expected_low", "expected_high")
WORST_BASELINE = 0.5  # the share at which a difference of shares is hardest to see
DRAWS = 1000


@dataclass(frozen=True)
class ContactList:
    """A list of members to contact, and the members held out from it.

    Attributes
    ----------
    name : str
        Name of the list.
    frame : pandas.DataFrame
        What may be published, highest expected value first: member_id (a pseudonym), tier, arm ("contact" or
        "hold-out"), expected_value, check_on. Empty when the list is withheld.
    contacted, held_out : int
        Members in each arm.
    mean_value, total_value : Estimate
        Expected value a member and of the whole list. With bounds of the predictions the interval holds their
        error (see :func:`contact_list`), without them that of the mean over members alone.
    detectable : float
        Smallest difference of shares between the arms that is found with probability `POWER`; NaN when none is.
    baseline : float
        Share of the hold-out assumed to act.
    days : int
        Length of the period that the values are for.
    check_on : date
        Day on which to compare the arms.
    k_min : int
        Smallest size of a published list.
    without_consent : int
        Members left out because they did not agree to be contacted.
    """

    name: str
    frame: pd.DataFrame
    contacted: int
    held_out: int
    mean_value: Estimate
    total_value: Estimate
    detectable: float
    baseline: float
    days: int
    check_on: dt.date
    k_min: int
    without_consent: int

    @property
    def size(self) -> int:
        """Members on the list."""
        return self.contacted + self.held_out

    @property
    def unit(self) -> str:
        """Unit of the value."""
        return self.mean_value.unit

    @property
    def caption(self) -> str:
        """What the list is called."""
        return say("List “{name}”", name=say(self.name.replace("_", " ")))

    @property
    def withheld(self) -> bool:
        """Whether the list is too small to be published."""
        return self.size < self.k_min

    @property
    def measurable(self) -> bool:
        """Whether the hold-out is large enough to show what contact was worth; else no action rests on the list."""
        return self.held_out >= enough.HELD_OUT and bool(np.isfinite(self.detectable))

    @property
    def sentence(self) -> str:
        """Size, worth and what the hold-out can show, in plain words."""
        if self.withheld:
            return say("List {name}: fewer than {k} members, not published.", name=self.name, k=self.k_min)
        total = self.total_value
        text = say(
            "List {name}: {size:,} members, {contacted} to contact and {held} held out. A member is expected to "
            "bring {mean} in the next period, all of them {total}.",
            name=self.name,
            size=self.size,
            contacted=people(self.contacted, self.k_min),
            held=people(self.held_out, self.k_min),
            mean=with_interval(self.mean_value),
            total=quantity(total.value, self.unit) if total.known else say("an unknown sum"),
        )
        return " ".join(filter(None, [text, self.power_sentence, self.consent_sentence]))

    @property
    def power_sentence(self) -> str:
        """What the hold-out can show, and when to look."""
        if not self.measurable:
            return say(
                "The hold-out is too small to measure what contact is worth, so no action rests on it."
            )
        return say(
            "If {base} act without contact, a difference of {step} percentage points or more will show ({power} "
            "power). Check on {day}.",
            base=percent(self.baseline, 0),
            step=f"{100 * self.detectable:.1f}",
            power=percent(POWER, 0),
            day=self.check_on.isoformat(),
        )

    @property
    def consent_sentence(self) -> str:
        """How many members are left out for want of consent; empty when nobody is."""
        text = "{n} members who did not agree to be contacted are left out."
        return say(text, n=people(self.without_consent, self.k_min)) if self.without_consent else ""


def contact_list(
    study: Study,
    members: ibis.Table | pd.DataFrame,
    *,
    name: str,
    holdout_share: float = 0.1,
    baseline: float | None = None,
    days: int = 30,
) -> ContactList:
    """Make a contact list of all members of a table, with a random hold-out.

    Parameters
    ----------
    study : Study
        Its day and seed decide who is held out, each member with probability `holdout_share` and not by the name: a
        member held out of one list is held out of all lists of that day.
    members : ibis.Table or pandas.DataFrame
        One row per member with member_id, tier and expected_value (of the next period, in the study's unit). With
        a column consent only members who agreed to be contacted are listed. With columns expected_low and
        expected_high (bounds of each prediction) the interval of the mean is at least the average low to the
        average high and at least the bootstrap: conservative, as if all predictions erred together.
    name : str
        Name of the list.
    holdout_share : float
        Share that is left alone.
    baseline : float, optional
        Share expected to act without contact; 0.5, the hardest case, when not given.
    days : int
        Length of the period that the values are for; then the arms are compared.

    Raises
    ------
    BadData
        When a column is missing, some (not all) values are, or a member has two rows.
    """
    frame, refused = _agreed(materialise(as_table(members)), f"list {name}")
    arm = assign_arms(frame["member_id"], day=study.as_of, seed=study.seed, holdout_share=holdout_share)
    held_out = int((arm == HOLDOUT).sum())
    base, contacted = WORST_BASELINE if baseline is None else baseline, len(frame) - held_out
    mean, total = _worth(study, frame, f"list {name}")
    check_on = study.as_of + dt.timedelta(days=days)
    published = _published(frame, arm).assign(check_on=check_on)
    return ContactList(
        name=name,
        frame=published if len(frame) >= study.k_min else published.iloc[:0],
        contacted=contacted,
        held_out=held_out,
        mean_value=mean,
        total_value=total,
        detectable=detectable_difference(contacted, held_out, base, study.confidence),
        baseline=base,
        days=days,
        check_on=check_on,
        k_min=study.k_min,
        without_consent=refused,
    )


def with_bounds(rows: pd.DataFrame, spread: RatioSpread | None) -> pd.DataFrame:
    """Return the members of a list with the bounds of their expected value: how far past windows erred.

    Parameters
    ----------
    rows : pandas.DataFrame
        With a column expected_value, as the forecast gives it.
    spread : RatioSpread or None
        How far the sums of windows lay from such forecasts; without a judged window nothing is expected.
    """
    if spread is None or not spread.windows:
        return rows.assign(expected_value=np.nan, **dict.fromkeys(BOUNDS, np.nan))
    low, high = spread.factors(float(rows["expected_value"].sum()))
    return rows.assign(expected_low=rows["expected_value"] * low, expected_high=rows["expected_value"] * high)


def _agreed(table: ibis.Table, what: str) -> tuple[pd.DataFrame, int]:
    """Return the members who may be contacted, and how many may not."""
    require_columns(table, ["member_id", "tier", "expected_value"], what)
    require_unique(table, "member_id", what)
    agreed = table
    if "consent" in table.columns:
        agreed = table.filter(table.consent.cast("boolean").fill_null(False))
    chosen = agreed.select(
        member_id=agreed["member_id"].cast("string"),
        tier=agreed["tier"].cast("string"),
        expected_value=agreed["expected_value"].cast("float64"),
        **{bound: agreed[bound].cast("float64") for bound in BOUNDS if bound in agreed.columns},
    )
    frame = chosen.execute().sort_values("member_id", ignore_index=True)
    return frame, int(table.count().execute()) - len(frame)


def _worth(study: Study, frame: pd.DataFrame, what: str) -> tuple[Estimate, Estimate]:
    """Return mean and total; unknown for an empty list, and where nobody's value could be predicted."""
    if frame["expected_value"].isna().all():
        nothing = unknown(len(frame), study.unit, study.confidence)
        return nothing, nothing
    cells = value_cells(frame, "expected_value")
    mean = mean_value(
        cells, unit=study.unit, confidence=study.confidence, draws=DRAWS, seed=study.seed
    ).estimate
    if set(BOUNDS) <= set(frame.columns):
        absent = int(frame[list(BOUNDS)].isna().any(axis=1).sum())
        if absent:
            raise BadData(
                say(
                    "{what}: {bounds} missing in {absent} of {n} rows.",
                    what=what,
                    bounds=" or ".join(BOUNDS),
                    absent=absent,
                    n=len(frame),
                )
            )
        low, high = (float(frame[bound].mean()) for bound in BOUNDS)
        low, high = float(np.fmin(mean.low, low)), float(np.fmax(mean.high, high))
        mean = mean._replace(low=low, high=high, method="prediction bounds, at least bootstrap")
    return mean, mean._replace(value=mean.value * mean.n, low=mean.low * mean.n, high=mean.high * mean.n)


def _published(frame: pd.DataFrame, arm: pd.Series) -> pd.DataFrame:
    listed = frame[["tier"]].assign(arm=arm)
    listed.insert(0, "member_id", pseudonymise(frame["member_id"]))
    # More digits would be a fingerprint by which a pseudonym can be found again elsewhere.
    listed["expected_value"] = np.round(frame["expected_value"], 2)
    return listed.sort_values(["expected_value", "member_id"], ascending=[False, True], ignore_index=True)
