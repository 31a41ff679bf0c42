"""Credit below channels: accounts and creators, content; leaves add up to their channel."""

from __future__ import annotations

import pandas as pd

from helpers.methods.attribution.journeys import Journeys
from helpers.methods.attribution.uncertainty import Credit


def hierarchy(journeys: Journeys, credit: Credit, model: str = "markov") -> pd.DataFrame:
    """Return the credit of a model by platform, channel, account or creator, and content.

    Returns
    -------
    pandas.DataFrame
        model, level (platform, channel, account, content), node, parent, conversions, value, n. The rows of a level
        add up to their parent; leaves with few conversions are one row "others".
    """
    raise NotImplementedError
