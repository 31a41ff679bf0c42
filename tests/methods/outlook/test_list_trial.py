"""A published list is judged by its hold-out from within outlook: did contact bring members back?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.data.privacy import pseudonymise
from helpers.methods import outlook
from helpers.playbook.contact.lists import contact_list
from helpers.study import Study


@pytest.mark.parametrize(("lift", "verdict"), [(0.15, "better"), (0.0, "no clear change"), (-0.12, "worse")])
def test_reactivation_against_the_hold_out(lift: float, verdict: str) -> None:
    n, rng = 3_000, np.random.default_rng(6)
    members = pd.DataFrame(
        {"member_id": [f"m{number:05d}" for number in range(n)], "tier": "dormant", "expected_value": 5.0}
    )
    study = Study.of({"activity": members, "population": members}, "2026-06-30", seed=4)
    listed = contact_list(study, members, name="win_back", holdout_share=0.3).frame
    arm = listed.set_index("member_id")["arm"].reindex(pseudonymise(members["member_id"])).to_numpy()
    back = members[["member_id"]].assign(back=rng.random(n) < 0.2 + lift * (arm == "contact"))
    found = outlook.evaluate_list(listed, back, outcome="back", kind="share", name="win_back")
    assert found.verdict == verdict and found.difference.low <= lift <= found.difference.high
    assert found.contacted + found.held_out == n and "held-out members" in found.sentence
