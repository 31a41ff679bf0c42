"""What is seen, who has the credit, and what channels added: the records that the notebook shows first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from helpers.methods.attribution.calibrate import calibrate, lift_tests
from helpers.methods.attribution.gates import CONVERSIONS_OF_A_MODEL, TOUCHES_OF_A_MODEL, Gates, bounds, gates
from helpers.methods.attribution.heuristics import RULES
from helpers.methods.attribution.hierarchy import hierarchy
from helpers.methods.attribution.incremental import Increments, increments
from helpers.methods.attribution.journeys import Definition, Journeys, journeys
from helpers.methods.attribution.plots import NAMES
from helpers.methods.attribution.uncertainty import MODELS, Credit
from helpers.methods.attribution.uncertainty import credit as credit_of
from helpers.playbook.evidence import told_reports
from helpers.playbook.finding import Finding, finding
from helpers.playbook.result import Part, Result
from helpers.sentences import number, percent, say, with_bounds
from helpers.stats.estimate import Estimate, drawn_estimate, proportion, unknown
from helpers.study import Study
from helpers.tables import Table

# What is said of orders that are carried, and of touches without a channel, at one instant, or young.
TRUSTED = (
    "{n} repeat orders had no new touch since the buyer's order before; the touch before that has the credit.",
    "{n} touches have no channel name: they are the channel “unknown”.",
    "{n} touches happened at one instant with another: the order of their ids decides.",
    "{n} touches are so young that their order may still come.",
)
TOO_LITTLE = "too little data: it takes {k} orders and {m} touches, and there are {n} and {t}"
TOO_FEW_DRAWN = (
    "too little data: it takes {k} orders and {m} touches, and the members drawn have about {n} and {t}"
)


@dataclass(frozen=True, repr=False)
class Seen(Result):
    """What of the way to an order is seen.

    Attributes
    ----------
    journeys : Journeys
        The journeys that everything else rests on.
    gates : Gates
        What is seen and what is not.
    """

    journeys: Journeys
    gates: Gates

    @property
    def unseen(self) -> Estimate:
        """Share of orders without a touch in the lookback."""
        return proportion(self.gates.unattributed, self.gates.conversions, self.study.confidence)

    @property
    def too_little(self) -> str:
        """Why no model is shown; empty when the data carry one."""
        if self.gates.enough:
            return ""
        least = {"k": CONVERSIONS_OF_A_MODEL, "m": number(TOUCHES_OF_A_MODEL)}
        n, t = self.gates.drawn
        return say(TOO_LITTLE if self.gates.share >= 1 else TOO_FEW_DRAWN, n=number(n), t=number(t), **least)

    @property
    def sentence(self) -> str:
        """How many orders have a touch that is seen."""
        text = "Of {n} orders, {k} have a touch (contact with a channel) in the {d} days before; {share} have none."
        g = self.gates
        counts = {"n": number(g.conversions), "k": number(g.conversions - g.unattributed)}
        return say(text, d=self.journeys.definition.lookback_days, share=percent(self.unseen.value), **counts)

    def parts(self) -> Iterator[Part]:
        """Yield what is seen, what was taken on trust, and the match of each platform."""
        yield self.sentence
        g = self.gates
        counts = (g.carried, g.untagged, g.tied, g.open)
        told = [say(text, n=number(n)) for n, text in zip(counts, TRUSTED, strict=True) if n]
        yield " ".join([*told, say("Each platform has ids of its own: only who is matched has a journey.")])
        if self.too_little:
            yield say("Only rules are shown, {why}.", why=self.too_little)
        if g.match["share"].eq(1).all():
            yield say("Every touch belongs to a member or a buyer who is known.")
            return
        caption = say("Touches by platform, and whose id is that of a member or a buyer")
        yield Table("match_rate", g.match, caption, {"share": "share"})

    def findings(self) -> Iterator[Finding]:
        """State the share of orders that no touch is seen before."""
        yield finding(
            self.unseen, id="attribution.unseen", metric=say("Orders without a touch on record"),
            scope=self.study.scope, sentence=self.sentence, direction="down is good", systems=("S064",),
            assumption=say("whoever was touched and is not matched is not counted as touched"),
            headline=say("{share} of orders have no touch on record", share=percent(self.unseen.value, 0)),
            n_of="orders", definition="unseen_share",
        )  # fmt: skip


def seen(
    study: Study,
    lookback_days: int = 30,
    window_days: int = 0,
    conversion: str = "order",
    channels: Mapping[str, str] | None = None,
) -> Seen:
    """Return the journeys to orders, and what of them is seen.

    Parameters
    ----------
    study : Study
        With touchpoints and orders.
    lookback_days, window_days, conversion, channels :
        As in :class:`helpers.methods.attribution.journeys.Definition`.
    """
    days = Definition(lookback_days=lookback_days, window_days=window_days)
    how = replace(days, conversion=conversion, channels=channels or {})
    return Seen(study, found := journeys(study, how), gates(found))


@dataclass(frozen=True, repr=False)
class Credited(Result):
    """Who has the credit, by each rule and model.

    Attributes
    ----------
    seen : Seen
        What it rests on.
    credit : Credit
        By channel.
    leaves : pandas.DataFrame
        Credit below channels, as :func:`helpers.methods.attribution.hierarchy.hierarchy` returns it.
    """

    seen: Seen
    credit: Credit
    leaves: pd.DataFrame = field(repr=False)

    @property
    def model(self) -> str:
        """The model that ranks: the Markov chain, or without enough data equal parts."""
        return "linear" if self.seen.too_little else "markov"

    def of(self, model: str) -> pd.DataFrame:
        """Return the credit of a model, most first, with the channels as index."""
        table = self.credit.table
        return table[table["model"] == model].sort_values("conversions", ascending=False).set_index("node")

    @property
    def leader(self) -> str:
        """The channel with the most credit; empty without any touch."""
        return next(iter(self.of(self.model).index), "")

    @property
    def share(self) -> Estimate:
        """Share of credit of the leading channel."""
        given, members = self.of(self.model)["conversions"], int(self.seen.journeys.histories.members.sum())
        if not given.sum() > 0:
            return unknown(members, "share", self.study.confidence)
        # The share of a chain rests on how all journeys run and varies less than a share of so many orders would:
        # over simulated communities by 0.007, as resamples say (0.008), where that of last click varies by 0.019.
        draws, value = self.credit.draws[self.model][:, 0], float(given.iloc[0] / given.sum())
        with np.errstate(invalid="ignore"):
            drawn = draws[:, self.credit.channels.index(self.leader)] / draws.sum(axis=1)
        return drawn_estimate(value, drawn, members, "share", "member bootstrap", self.study.confidence)

    @property
    def sentence(self) -> str:
        """Who has the most credit, and which neighbours cannot be told apart."""
        pairs = self.credit.undecided(self.model, self.study.confidence)
        named = say("; ").join(say("{a} and {b}", a=a, b=b) for a, b in pairs)
        text = "{leader} has the most credit: {share} of the orders with a touch. The ranking is certain."
        if pairs:
            text = "{leader} has the most credit: {share} of the orders with a touch. Too close to rank: {pairs}."
        if not self.share.known:
            text = "Who has the credit: no order has a touch that is seen."
        return say(text, leader=self.leader, share=with_bounds(self.share), pairs=named)

    def parts(self) -> Iterator[Part]:
        """Yield who leads, what credit is not, and the numbers of all models, of the chain and below channels."""
        yield self.sentence
        yield say(
            "Credit says who was there before an order, not what would be missing without it. The Shapley values are "
            "an equal split over the different channels of each order and know nothing of who did not order."
        )
        yield from filter(None, [self.seen.journeys.sampled])
        shown = dict.fromkeys(["first", "last", "linear", self.model])
        columns = {NAMES[each]: self.of(each)["conversions"] for each in shown}
        small = pd.DataFrame({"touched": self.of("last")["n"], **columns}).rename_axis("channel")
        caption = say("Orders touched by each channel, and credited; several may touch one order")
        yield Table("credit_by_channel", small.reset_index(), caption, members="touched")
        if (self.seen.gates.match["share"] < 1).any():
            table = bounds(self.seen.gates, self.of(self.model)["conversions"]).rename(
                columns={"node": "channel"}
            )
            caption = say("How far credit can move if the touches of people who are not matched were seen")
            yield Table("bounds", table, caption)
        table = self.credit.table.drop(columns="level").rename(columns={"node": "channel", "n": "touched"})
        table["model"] = [say(NAMES[each]) for each in table["model"]]
        units = {"p_top3": "share"} | dict.fromkeys(["value", "value_low", "value_high"], self.study.currency)
        caption = say("Credit by model, and the chance to be in the first three")
        yield Table("credit", table, caption, units, members="touched", within=("model",))
        if not self.seen.too_little:
            text = "Share of orders that a Markov chain of order {k} loses without a channel"
            caption = say(text, k=self.credit.order)
            units = {"removal": "share", "removal_value": "share"}
            yield Table("removal_effects", self.credit.effects, caption, units)
            caption = say("How badly chains of each order foretell the next step of members left out (nats)")
            yield Table("chain_order", self.credit.orders, caption, {"loss": "score"})
        if len(self.leaves):
            caption = say("Credit below channels; rows of a level add up to their parent")
            rows, units = self.leaves.drop(columns="model"), {"value": self.study.currency}
            yield Table("leaves", rows, caption, units, members="members", within=("level",))

    def findings(self) -> Iterator[Finding]:
        """State the share of credit of the leading channel."""
        name, rule = self.leader or say("a channel"), say(NAMES[self.model])
        metric = say("Share of credit of {name}: {rule}", name=name, rule=rule)
        yield finding(
            self.share, id="attribution.leader", metric=metric,
            scope=self.study.scope, sentence=self.sentence, systems=("S062", "S063", "S065"),
            assumption=say("the credit of this model in communities like this one; no claim about what is caused"),
            definition="credit", picture="credit_by_model",
        )  # fmt: skip


def credited(study: Study, seen: Seen) -> Credited:
    """Return the credit of each channel by each rule and model, with intervals.

    Parameters
    ----------
    study : Study
        Its level, seed and resamples.
    seen : Seen
        The journeys.
    """
    models, ranks = (RULES, "linear") if seen.too_little else (MODELS, "markov")
    found = credit_of(seen.journeys, models)
    leaves = hierarchy(seen.journeys, found, ranks) if seen.journeys.channels else pd.DataFrame()
    return Credited(study, seen, found, leaves)


@dataclass(frozen=True, repr=False)
class Added(Result):
    """What channels added.

    Attributes
    ----------
    seen : Seen
        What it rests on.
    model, corrected : Increments or None
        By the model alone, and corrected by lift tests; None with too little data.
    tests : pandas.DataFrame
        The lift tests, as :func:`helpers.methods.attribution.calibrate.lift_tests` returns them.
    """

    seen: Seen
    model: Increments | None
    corrected: Increments | None
    tests: pd.DataFrame = field(repr=False)

    @property
    def tested(self) -> list[str]:
        """Channels with a lift test."""
        return sorted(set(self.tests["channel"]))

    @property
    def untested(self) -> list[str]:
        """Channels that only the model speaks of."""
        return [] if self.model is None else sorted(set(self.model.channels) - set(self.tested))

    def doubted(self, one: Finding) -> Finding:
        """Return a finding about all channels, provisional where some are untested."""
        if one.value is None or not self.untested:
            return one
        n = len(self.untested) + len(self.tested)
        doubt = say("Provisional: {k} of {n} channels are untested.", k=len(self.untested), n=n)
        return one.model_copy(update={"verdict": "provisional", "sentence": f"{one.sentence} {doubt}"})

    @property
    def baseline(self) -> Estimate:
        """Share of orders that would have come without any channel."""
        if self.corrected is None:
            return unknown(self.seen.gates.conversions, "share", self.study.confidence)
        return self.corrected.baseline(self.study.confidence)

    def of(self, channel: str) -> Estimate:
        """Return the orders that a channel added."""
        if self.corrected is None:
            return unknown(0, "orders", self.study.confidence)
        return self.corrected.of(channel, self.study.confidence)

    @property
    def sentence(self) -> str:
        """How many orders would have come anyway."""
        if self.corrected is None:
            return say("What channels added: {why}.", why=self.seen.too_little)
        text = "Of {n} orders, {share} would have come without the channels seen here."
        if not self.tested:
            text = (
                "Of {n} orders, {share} would have come without the channels seen here, if nobody was touched "
                "because an order was near. No lift test says whether that holds, so none is ranked by what it added."
            )
        return say(text, n=number(self.corrected.total), share=with_bounds(self.baseline))

    @property
    def table(self) -> pd.DataFrame:
        """channel, touches, model (orders added by the model alone), added, low, high (corrected), tested."""
        names = ["channel", "touches", "model", "added", "low", "high", "tested"]
        if self.corrected is None or self.model is None:
            return pd.DataFrame(columns=names)
        touches, alone = self.model.touches.astype(int), self.model.orders
        rows = zip(self.model.channels, touches, alone, strict=True)
        table = [(name, *each, *self.of(name)[:3], name in self.tested) for name, *each in rows]
        return pd.DataFrame(table, columns=names).sort_values("added", ascending=False, ignore_index=True)

    def parts(self) -> Iterator[Part]:
        """Yield what came anyway, what tests changed, and the numbers of channels."""
        yield self.sentence
        if self.corrected is None or self.model is None:
            return
        if self.tested:
            names, before = say(", ").join(self.tested), self.model.baseline(self.study.confidence)
            text = (
                "Lift tests of {names} correct the model. The model alone says {before}: it mistakes people who "
                "would have ordered anyway for people the channel won. Channels without a test move in part and "
                "stay as uncertain as it was wrong."
            )
            yield say(text, names=names, before=percent(before.value))
        if (share := self.model.share) < 1:
            yield say("The rates rest on a random {share} of the members.", share=percent(share, 0))
        yield Table("added", self.table, say("Orders added, by the model alone and corrected by lift tests"))
        if len(self.tests):
            caption = say("Lift tests in orders a touch; the error of a test grows with its age")
            yield Table("lift_tests", self.tests, caption, {"value": "score", "error": "score"})
            if told := told_reports(self.tests["report"]):
                yield told
        caption = say("Part of an effect left a day later, and how well it foretells members left out")
        yield Table("carry_over", self.model.likelihood, caption)

    def findings(self) -> Iterator[Finding]:
        """State the share of orders that no channel added."""
        text = "about {share} of orders would have come anyway ({k} of {n} channels tested)"
        counts = {"k": len(self.tested), "n": len(self.tested) + len(self.untested)}
        yield self.doubted(finding(
            self.baseline, id="attribution.baseline", metric=say("Orders that would have come anyway"),
            scope=self.study.scope, sentence=self.sentence, systems=("S062",),
            assumption=say("rates add up, and untested channels err as the tested ones did")
            if self.tested else say("nobody was touched because an order was near"),
            headline=say(text, share=percent(self.baseline.value, 0), **counts),
            definition="baseline_share", picture="credit_by_model",
        ))  # fmt: skip


def added(study: Study, seen: Seen) -> Added:
    """Return what channels added to orders, corrected by the lift tests of the table ``evidence``.

    Parameters
    ----------
    study : Study
        Its level.
    seen : Seen
        The journeys.
    """
    if seen.too_little:
        return Added(study, seen, None, None, lift_tests(seen.journeys, ()))
    model = increments(seen.journeys)
    tests = lift_tests(seen.journeys, model.channels)
    return Added(study, seen, model, calibrate(model, tests), tests)
