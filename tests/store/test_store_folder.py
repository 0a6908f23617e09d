from __future__ import annotations

from pathlib import Path

import pytest

from pricewatch.domain.errors import ConfigError
from pricewatch.store.folder import FolderInUse, FolderLock


def test_a_folder_has_one_holder(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "new" / "data"), FolderLock(tmp_path / "new" / "data")
    first.hold()
    with pytest.raises(FolderInUse, match="already uses the folder"):
        second.hold()
    first.release()
    first.release()
    second.hold()
    second.release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/data cannot be used: Not a directory; set app.data"):
        FolderLock(tmp_path / "file" / "data").hold()
