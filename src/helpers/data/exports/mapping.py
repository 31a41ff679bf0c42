"""A mapping: which column of an export is which column of the contract, and what the export does not say.

A mapping is one YAML file, ``mapping.yml`` in the folder of the exports. Every word in it is text: ``2026-07-01``,
``no`` and ``010`` mean what they say. A whole one::

    export: shopify_orders              # the known export it was drafted from; said, not used
    view: buyer                         # whose money the orders hold: buyer (what was paid) or merchant
    zone: Asia/Shanghai                 # of times written without a zone; a source or a column may say its own
    sources:
      orders:                           # a name of yours, for messages and accounts
        files: ["orders_export*.csv"]   # below the folder; or, in a database,  table: public.orders
        part: "Table data.csv"          # which sheets or members of archives, where a file holds several
        exported_at: 2026-07-01         # a day or an instant; or {file_name: "%Y%m%d"}; or {"may.csv": 2026-06-01, …}
        leave_out:                      # reason: condition; the first that holds counts the row
          further line of an order: {Financial Status: empty}
          not paid: {Financial Status: [pending, authorized, voided, expired]}
        expect: {Financial Status: [paid, partially_paid, partially_refunded, refunded]}   # of rows that stay
        tables:
          orders:                       # a table of the contract, or a list of such mappings
            order_id: Name
            member_id: Email            # contact data: becomes a keyed hash, and may feed nothing but an id
            paid_at: Paid at
            gross: {sum: [Subtotal, Discount Amount]}
            discount: Discount Amount
            currency: {constant: USD}
            extra: {payment: Payment Method}         # columns outside the contract, for segments

A condition names columns and what they hold: one text, a list of texts, ``{not: [texts]}``, ``empty`` or ``given``.
With several columns all must hold.

A **value** is the name of a column, or a mapping with one of

==================================  =========================================================================
``column: Name``                    the column (the short form with room for what is said below)
``constant: CNY``                   the same in every row
``sum: [A, B]``, ``minus: [C]``     numbers added and taken away; missing where one of them is missing
``product: [A, B]``                 numbers multiplied
``rate: R, of: N``                  round(R × N), for a count of which only the share R is exported; ``per: 100`` where
                                    R is written as 12.3 for 12.3 %; a share above 1 is refused
``first: [A, B]``                   the first that is given
``key: [A, B]``                     one id from several columns, a hash; ``numbered: true`` where equal rows of one
                                    file are several things
``exported: true``                  when the row was exported (its day, in a column of days)
``hours_since: Publish time``       from that time to the export, in whole hours
==================================  =========================================================================

in which ``A`` may be a value itself, and any of

==============================  =============================================================================
``values: {退款成功: refund}``    what its words mean; another word is refused, or kept with ``others: keep``
``empty: 0``                    what an empty cell means
``when: {condition}``           only in rows where the condition holds, elsewhere missing
``assumed: true``               the value is no observation; its rows are counted and said
``zone: UTC``                   of its times without a zone
``format: "%d/%m/%Y %H:%M"``    how its times are written, as strptime has it
``unit: ms``                    of its numbers since 1970: s, ms or us
``hash: true``                  an id that becomes a keyed hash though its column does not look like contact data
``identity: douyin``            an id on that platform; `identities` says whose it is, where it does
==============================  =============================================================================

A **table** may say besides its columns

==============================  =============================================================================
``only: {condition}``           rows of the source that are rows of this table
``leave_out: {…}``              as that of the source, for this table alone
``same_key: first``             of rows with one key the first counts; or ``sum``: numbers are added, of the rest the
                                first given value holds. Without it rows that are equal are one row, the row of a
                                later export replaces an earlier one, and any other repetition is refused.
``totals: lifetime``            counts are totals since publication: they become differences from export to export
``metrics: {plays: 播放量}``     of ``metric_daily``: one row for each metric; a metric is a value or
                                ``{numerator: A, denominator: B}``
``first_seen: true``            of ``members``: one row for each member, joined when first seen, provisional
==============================  =============================================================================

**Questions**: a text that begins with ``?`` stands for an answer, anywhere: ``zone: "? In which zone is the shop?"``.
A mapping with questions is no mistake; nothing is read with it until they are answered.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Condition = tuple[tuple[str, Literal["in", "not in", "empty", "given"], tuple[str, ...]], ...]
"""Column, relation, texts; all must hold."""


@dataclass(frozen=True)
class Value:
    """How a column of the contract comes about; see the module for the words.

    Attributes
    ----------
    kind : str
        ``column``, ``constant``, ``sum``, ``product``, ``rate``, ``first``, ``key``, ``exported`` or ``hours_since``.
    text : str
        Of a column its name, of a constant its text.
    parts, minus : tuple of Value
        What is added (multiplied, tried, joined) and what is taken away.
    """

    kind: str
    text: str = ""
    parts: tuple[Value, ...] = ()
    minus: tuple[Value, ...] = ()
    per: float = 1.0
    numbered: bool = False
    values: Map[str, str] = field(default_factory=dict)
    keep_others: bool = False
    empty: str | None = None
    when: Condition = ()
    assumed: bool = False
    zone: str | None = None
    format: str | None = None
    unit: str | None = None
    hash: bool = False
    identity: str | None = None


@dataclass(frozen=True)
class Target:
    """One table of the contract as a source feeds it."""

    table: str
    columns: Map[str, Value]
    metrics: Map[str, Any] = field(default_factory=dict)
    only: Condition = ()
    leave_out: Map[str, Condition] = field(default_factory=dict)
    same_key: Literal["", "first", "sum"] = ""
    lifetime: bool = False
    first_seen: bool = False


@dataclass(frozen=True)
class Source:
    """Files of one export, or one table of a database, and the tables that they feed."""

    name: str
    files: tuple[str, ...]
    targets: tuple[Target, ...]
    table: str = ""
    part: str = ""
    zone: str | None = None
    exported_at: Map[str, str] = field(default_factory=dict)
    leave_out: Map[str, Condition] = field(default_factory=dict)
    expect: Condition = ()


@dataclass(frozen=True)
class Question:
    """What a mapping leaves open: the line, where in the mapping, and what is asked."""

    line: int
    place: str
    text: str


@dataclass(frozen=True)
class Mapping:
    """A mapping that is right in itself; whether its columns are there, its files say.

    Attributes
    ----------
    path : Path
    text : str
        The file's content, for the run key and the manifest.
    sources : tuple of Source
    questions : tuple of Question
        Empty when it can be used.
    view : str
        Whose money the orders hold: ``buyer`` or ``merchant``; empty without orders.
    export : str
    """

    path: Path
    text: str
    sources: tuple[Source, ...]
    questions: tuple[Question, ...] = ()
    view: str = ""
    export: str = ""

    @classmethod
    def read(cls, path: Path) -> Mapping:
        """Read and validate a mapping, before any of its files is opened.

        Raises
        ------
        InvalidMapping
            With every mistake, its line, and what may have been meant.
        """
        raise NotImplementedError
