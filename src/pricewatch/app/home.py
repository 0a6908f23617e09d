"""The name of a data folder: by it an engine knows its own dead lease from another's."""

from __future__ import annotations

import uuid
from pathlib import Path

from pricewatch.domain.errors import ConfigError


def home_name(folder: Path) -> str:
    """What stands in the folder's file `home`, written there at the first time. Raises `ConfigError`."""
    file = folder / "home"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            new = file.with_suffix(".new")
            new.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
            new.replace(file)
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"the file {file} cannot be used: {exc}; set app.data to a folder you may write") from exc
