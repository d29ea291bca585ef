"""docs/guides/trunks.md: its configuration is read as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from pbx import config

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "trunks.md").read_text()


def test_the_trunks_of_the_guide_are_accepted() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    text = '[[tenant]]\ndomain = "office.test"\n' + "".join(blocks)
    trunks = config.parse(text, environ={"HOME": "/home/a"}).tenants[0].trunks
    assert [(trunk.name, trunk.register) for trunk in trunks] == [("carrier", False), ("other", True)]
