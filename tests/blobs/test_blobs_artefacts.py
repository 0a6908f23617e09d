from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from pricewatch.blobs.artefacts import ObjectArtefacts
from pricewatch.blobs.settings import BlobSettings
from pricewatch.domain.errors import BadData, ConfigError, Unavailable
from pricewatch.domain.model import Seal
from pricewatch.ports.registry import Artefacts
from pricewatch.testing.registry import MemoryArtefacts


class ArtefactPromises:
    async def test_what_was_put_comes_back(self, artefacts: Artefacts) -> None:
        seal = await artefacts.put("price/1/a.json", b'{"schema":1}')
        assert await artefacts.get(seal) == b'{"schema":1}'
        assert (seal.name, seal.size) == ("price/1/a.json", 12)

    async def test_it_is_written_once(self, artefacts: Artefacts) -> None:
        seal = await artefacts.put("a", b"one")
        other = await artefacts.put("a", b"two")
        assert await artefacts.get(seal) == b"one"
        with pytest.raises(BadData):
            await artefacts.get(other)

    async def test_what_is_missing_is_refused(self, artefacts: Artefacts) -> None:
        seal = await artefacts.put("a", b"one")
        await artefacts.remove(["a", "b"])
        with pytest.raises(BadData, match="missing"):
            await artefacts.get(seal)

    @pytest.mark.parametrize("change", [{"sha256": "00" * 32}, {"mac": ""}, {"mac": "00" * 32}])
    async def test_a_seal_that_does_not_fit_is_refused(self, artefacts: Artefacts, change: dict[str, str]) -> None:
        seal = await artefacts.put("a", b"one")
        with pytest.raises(BadData):
            await artefacts.get(msgspec.structs.replace(seal, **change))


class TestMemoryArtefacts(ArtefactPromises):
    @pytest.fixture
    def artefacts(self) -> Artefacts:
        return MemoryArtefacts()


class TestFolderArtefacts(ArtefactPromises):
    @pytest.fixture
    def artefacts(self, tmp_path: Path) -> Artefacts:
        return ObjectArtefacts(BlobSettings(), tmp_path / "data" / "models")

    @pytest.mark.parametrize(
        ("payload", "words"), [(b"tampered", "corrupted"), (b"", "corrupted"), (b"onE", "corrupted")]
    )
    async def test_a_changed_file_is_refused(self, tmp_path: Path, payload: bytes, words: str) -> None:
        artefacts = ObjectArtefacts(BlobSettings(), tmp_path / "models")
        seal = await artefacts.put("price/1/a.json", b"one")
        (tmp_path / "models" / "price" / "1" / "a.json").write_bytes(payload)
        with pytest.raises(BadData, match=words):
            await artefacts.get(seal)

    async def test_what_another_key_signed_is_foreign(self, tmp_path: Path) -> None:
        theirs = ObjectArtefacts(BlobSettings(key=SecretStr("their key")), tmp_path / "models")
        seal = await theirs.put("a", b"one")
        ours = ObjectArtefacts(BlobSettings(key=SecretStr("our key")), tmp_path / "models")
        with pytest.raises(BadData, match="foreign"):
            await ours.get(seal)
        with pytest.raises(BadData, match="not signed"):
            await theirs.get(msgspec.structs.replace(seal, mac=""))

    async def test_one_artefact_is_not_taken_for_another(self, tmp_path: Path) -> None:
        artefacts = ObjectArtefacts(BlobSettings(), tmp_path / "models")
        seal = await artefacts.put("price/1/a.json", b"one")
        await artefacts.put("price/2/b.json", b"one")
        with pytest.raises(BadData, match="foreign"):
            await artefacts.get(Seal("price/2/b.json", seal.sha256, seal.mac, seal.size))

    async def test_the_key_is_made_once_and_for_us_alone(self, tmp_path: Path) -> None:
        some = [ObjectArtefacts(BlobSettings(), tmp_path / "models") for _ in range(8)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.put(f"{place}", b"x")) for place, one in enumerate(some)]
        key = tmp_path / "models.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert len(key.read_bytes()) == 64
        for one in some:
            assert await one.get(tasks[0].result()) == b"x"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "models.key"]

    async def test_a_broken_key_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "models.key").write_bytes(b"short")
        with pytest.raises(ConfigError, match="too short"):
            await ObjectArtefacts(BlobSettings(), tmp_path / "models").put("a", b"")
        (tmp_path / "models.key").unlink()
        (tmp_path / "models.key").mkdir()
        with pytest.raises(ConfigError, match="cannot be read or made"):
            await ObjectArtefacts(BlobSettings(), tmp_path / "models").put("a", b"")

    async def test_a_folder_of_ones_own(self, tmp_path: Path) -> None:
        artefacts = ObjectArtefacts(BlobSettings(store=str(tmp_path / "mine")), tmp_path / "models")
        await artefacts.put("a", b"one")
        assert (tmp_path / "mine" / "a").read_bytes() == b"one"

    async def test_no_object_store_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"blobs\.store: 'nonsense://x'"):
            await ObjectArtefacts(BlobSettings(store="nonsense://x"), tmp_path / "models").put("a", b"")

    async def test_an_absurdly_large_file_is_not_read(self, tmp_path: Path) -> None:
        artefacts = ObjectArtefacts(BlobSettings(), tmp_path / "models")
        seal = await artefacts.put("a", b"one")
        with (tmp_path / "models" / "a").open("r+b") as file:
            os.truncate(file.fileno(), 64 * 1024**2)
        with pytest.raises(BadData, match="at most"):
            await artefacts.get(seal)

    async def test_a_store_that_does_not_answer_is_told(self, tmp_path: Path) -> None:
        artefacts = ObjectArtefacts(BlobSettings(), tmp_path / "models")
        seal = await artefacts.put("a", b"one")
        (tmp_path / "models" / "a").unlink()
        (tmp_path / "models" / "a").mkdir()
        with pytest.raises((Unavailable, BadData)):
            await artefacts.get(seal)


async def test_an_unreachable_server_is_unavailable_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    artefacts = ObjectArtefacts(BlobSettings(store="s3://bucket/models", timeout=0.3), tmp_path / "models")
    with pytest.raises(Unavailable, match="cannot be stored"):
        await artefacts.put("a", b"one")
    with pytest.raises(Unavailable, match="cannot be read"):
        await artefacts.get(Seal("a", "", "", 1))
    with pytest.raises(Unavailable, match="cannot be removed"):
        await artefacts.remove(["a"])
