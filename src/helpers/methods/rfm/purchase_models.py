"""Both halves of the purchase model, and how many of those who bought are still active by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from helpers.playbook.result import Part, Result
from helpers.sentences import people, say, with_bounds
from helpers.stats.btyd.alive import BetaGeometricNBD
from helpers.stats.btyd.cells import cells, histories, spend_cells
from helpers.stats.btyd.spend import GammaGamma
from helpers.stats.estimate import Estimate
from helpers.study import Study
from helpers.tables import Table


@dataclass(frozen=True, repr=False)
class PurchaseModels(Result):
    """How often, how long and for how much members buy.

    Attributes
    ----------
    alive : BetaGeometricNBD
        How often and how long.
    spending : GammaGamma
        For how much.
    still_active : Estimate
        Share still active of the present members with a repeat, who alone can be; n is their number (in the
        fallback: of earlier members who transacted again).
    once : int
        Present members who bought once, whom the model cannot judge.
    """

    alive: BetaGeometricNBD
    spending: GammaGamma
    still_active: Estimate
    once: int

    @property
    def smallest(self) -> int | None:
        """Members of whom the share still active is told."""
        return self.still_active.n if self.still_active.known else None

    @property
    def sentence(self) -> str:
        """How many are still active: of whom, how sure, and who is not judged."""
        share, k_min = self.still_active, self.study.k_min
        text = "Who of the present buyers is still active: too little data. {why}"
        if share.known:
            text = (
                "Of {n} present members who bought more than once, {share} are probably still active. {once} bought "
                "once, whom the model cannot judge."
            )
            if self.alive.repeat_shares_ is not None:
                text = (
                    "The model of who is still active could not be used. {why} Counted instead: {share} of {n} "
                    "earlier members bought again within {days} days."
                )
        why = self.alive.message_
        if self.alive.repeaters_ < k_min:
            why = say("Fewer than {k} members came back.", k=k_min)
        days = self.alive.repeat_shares_.days if self.alive.repeat_shares_ is not None else 0
        n, once = people(share.n, k_min), people(self.once, k_min)
        return say(text, why=why, n=n, once=once, days=days, share=with_bounds(share))

    @property
    def table(self) -> pd.DataFrame:
        """One row per parameter: model, parameter, value, standard_error, low, high, n."""
        summaries = {"BG/NBD": self.alive.summary, "Gamma-Gamma": self.spending.summary}
        found = pd.concat(summaries, names=["model"])
        return found.drop(columns="log_standard_error").reset_index()

    def parts(self) -> Iterator[Part]:
        """Yield who is active, what they spend, and the parameters."""
        yield self.sentence
        if not 0 < self.spending.members_ < self.study.k_min:
            yield self.spending.sentence
        caption = say("Fitted purchase models: BG/NBD (weeks) and Gamma-Gamma")
        yield Table("purchase_models", self.table, caption)


def purchase_models(study: Study) -> PurchaseModels:
    """Fit BG/NBD and Gamma-Gamma to all purchases up to ``as_of``."""
    model = BetaGeometricNBD(confidence=study.confidence).fit(cells(study.purchases, study.as_of))
    spending = GammaGamma(confidence=study.confidence, unit=study.unit)
    lives = histories(study.purchases, study.as_of)
    buyers = lives.semi_join(study.present, "member_id").select("x", "t_x", "T").to_pandas()
    buyers = buyers.sort_values(["x", "t_x", "T"])  # sums must not depend on the order of an engine
    share = model.alive_among(buyers["x"], buyers["t_x"], buyers["T"])
    once = int((buyers["x"] == 0).sum())
    return PurchaseModels(study, model, spending.fit(spend_cells(lives)), share, once)
