"""What orders are worth: kinds, heavy-tailed amounts, discounts, refunds and margin."""

from __future__ import annotations

import numpy as np

from helpers.simulate.columns import Columns, constant, digits, exported, instants, next_morning, words
from helpers.simulate.members import Members, choose
from helpers.simulate.parameters import PLATFORMS, Parameters
from helpers.simulate.purchases import Points
from helpers.simulate.world import Block

KINDS = ("goods", "membership", "tip")
COUPONS = ("WELCOME10", "D11", "LIVE8", "VIP15")
_ID_FLOOR = 410_000_000_000_000_000
_ID_BLOCK_BITS = 22


def expected_net(p: Parameters) -> dict[str, float]:
    """Return the expected net value (gross - discount - refund) of an order, by kind and over all kinds.

    Goods follow the Gamma-Gamma model: the member's rate is Gamma(`goods_member_shape`, rate
    `goods_member_scale`), an amount Gamma(`goods_shape`, member's rate), so the mean amount is
    ``goods_shape * goods_member_scale / (goods_member_shape - 1)``. Discounts and refunds fall on goods alone.
    """
    discount = p.discount_share * sum(p.discount_range) / 2
    goods = p.goods_shape * p.goods_member_scale / (p.goods_member_shape - 1.0)
    monthly, yearly = p.membership_prices
    by_kind = {
        "goods": goods * (1.0 - discount) * (1.0 - p.refund_share),
        "membership": monthly + (yearly - monthly) * p.membership_yearly_share,
        "tip": p.tip_median * float(np.exp(p.tip_sigma**2 / 2)),
    }
    by_kind["all"] = sum(share * by_kind[kind] for kind, share in zip(KINDS, p.kind_shares, strict=True))
    return by_kind


def order_columns(block: Block) -> Columns:
    """Return the ``orders`` table of one block, ordered by member and time."""
    p, members, orders = block.window.parameters, block.members, block.purchases.orders
    rng, rows = block.stream("orders"), len(orders.member)
    kind = choose(rng, p.kind_shares, rows)
    gross = _gross(rng, p, members, orders, kind)
    goods = kind == KINDS.index("goods")
    discounted = goods & (rng.random(rows) < p.discount_share)
    discount = np.round(gross * rng.uniform(*p.discount_range, rows) * discounted, 2)
    paid = np.round(gross - discount, 2)
    refund = paid * (goods & (rng.random(rows) < p.refund_share))
    margin = np.round((paid - refund) * rng.uniform(*p.margin_range, rows), 2)
    at_home = rng.random(rows) < p.home_platform_share
    platform = np.where(at_home, members.platform[orders.member], choose(rng, p.platform_shares, rows))
    coupon = np.where(discounted, rng.integers(0, len(COUPONS), rows), -1)
    return {
        "order_id": digits(_ID_FLOOR + (block.number << _ID_BLOCK_BITS) + np.arange(rows)),
        "member_id": digits(members.number[orders.member]),
        "paid_at": instants(orders.seconds, block.window),
        "gross": gross,
        "discount": discount,
        "refund": refund,
        "margin": margin,
        "currency": constant("CNY", rows),
        "kind": words(kind, KINDS),
        "coupon_code": words(coupon, COUPONS),
        "platform": words(platform, PLATFORMS),
        **exported("shop", next_morning(orders.seconds), block.window),
    }


def _gross(
    rng: np.random.Generator, p: Parameters, members: Members, orders: Points, kind: np.ndarray
) -> np.ndarray:
    """Draw prices: Gamma-Gamma for goods, two prices of membership, log-normal tips; at least one fen."""
    rows = len(kind)
    rate = rng.gamma(p.goods_member_shape, 1.0 / p.goods_member_scale, len(members))[orders.member]
    goods = rng.gamma(p.goods_shape, 1.0, rows) / rate
    monthly, yearly = p.membership_prices
    membership = np.where(rng.random(rows) < p.membership_yearly_share, yearly, monthly)
    tip = p.tip_median * np.exp(p.tip_sigma * rng.standard_normal(rows))
    return np.maximum(np.round(np.choose(kind, [goods, membership, tip]), 2), 0.01)
