from __future__ import annotations

from pathlib import Path

import pytest

from pricewatch.app.home import home_name
from pricewatch.domain.errors import ConfigError


def test_a_folder_keeps_its_name(tmp_path: Path) -> None:
    name = home_name(tmp_path / "data")
    assert len(name) == 36
    assert home_name(tmp_path / "data") == name
    assert home_name(tmp_path / "other") != name


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"set app\.data"):
        home_name(tmp_path / "file")
    (tmp_path / "home").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"set app\.data"):
        home_name(tmp_path)
