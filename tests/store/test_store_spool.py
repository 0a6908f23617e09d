from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pricewatch.domain.errors import ConfigError
from pricewatch.store.spool import Spool, delete, sync

Opener = Callable[..., Spool]


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Opener]:
    opened: list[Spool] = []

    def make(**changes: float) -> Spool:
        for one in opened:
            one.close()
        limits = {"segment_size": 4_096, "cap": 1 << 20, "keep": 5.0, "memory": 1 << 16, **changes}
        spool = Spool(tmp_path / "spool", **limits)  # type: ignore[arg-type]
        spool.open()
        opened.append(spool)
        return spool

    yield make
    for one in opened:
        one.close()


def numbers(spool: Spool, rows: int = 1_000_000) -> list[int]:
    found = []
    while frames := spool.read(rows):
        found += [frame.sequence for frame in frames]
    return found


def files(spool: Spool) -> list[Path]:
    return sorted(spool._folder.glob("*.spool"))


def test_frames_come_back_in_order_and_in_batches(opener: Opener) -> None:
    spool = opener()
    for n in range(10):
        spool.append(1, 3, b"abc" * n)
    assert [frame.sequence for frame in spool.read(7)] == [1, 2]
    assert [frame.payload for frame in spool.read(1)] == [b"abc" * 2]
    assert numbers(spool) == [4, 5, 6, 7, 8, 9, 10]
    assert spool.read(5) == []


def test_a_batch_is_of_one_kind(opener: Opener) -> None:
    spool = opener()
    for kind in (1, 1, 2, 1):
        spool.append(kind, 1, b"x")
    assert [[frame.kind for frame in spool.read(100)] for _ in range(3)] == [[1, 1], [2], [1]]


def test_everything_is_there_after_a_restart(opener: Opener) -> None:
    spool = opener()
    for n in range(100):
        spool.append(1, 1, bytes([n]) * 200)
    assert len(files(spool)) > 3
    again = opener()
    assert (again.last, again.behind, again.size) == (100, 100, spool.size or again.size)
    assert numbers(again) == list(range(1, 101))
    again.append(1, 1, b"more")
    assert numbers(again) == [101]


@pytest.mark.parametrize("cut", [1, 5, 27, 100])
def test_a_torn_tail_is_cut(opener: Opener, cut: int) -> None:
    spool = opener()
    for _ in range(3):
        spool.append(1, 1, b"x" * 80)
    path = files(spool)[0]
    spool.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = opener()
    assert again.torn > 0
    assert numbers(again) == [1, 2]
    assert again.append(1, 1, b"new") == 3
    assert numbers(opener()) == [1, 2, 3]


def test_a_flipped_bit_ends_its_segment_and_no_more(opener: Opener) -> None:
    spool = opener()
    for _ in range(60):
        spool.append(1, 1, b"x" * 200)
    first, second = files(spool)[:2]
    spool.close()
    content = bytearray(first.read_bytes())
    content[300] ^= 1
    first.write_bytes(content)
    assert numbers(opener()) == [1, *range(int(second.stem), 61)]


def test_acknowledged_segments_go_after_a_while(opener: Opener) -> None:
    spool = opener()
    for _ in range(60):
        spool.append(1, 1, b"x" * 200)
    spool.acknowledge(spool.read(40), 100.0)
    delete(spool.clean(104.9))
    before = len(files(spool))
    delete(spool.clean(105.0))
    assert 1 < len(files(spool)) < before
    assert spool.behind == 20
    spool.acknowledge(spool.read(40), 110.0)
    delete(spool.clean(115.0))
    assert (files(spool), spool.size, spool.behind) == ([], 0, 0)
    assert spool.append(1, 1, b"y") == 61
    assert numbers(spool) == [61]


def test_a_slow_trickle_ends_its_segment_in_time(opener: Opener) -> None:
    spool = opener()
    for second in range(100):
        spool.append(1, 1, b"x")
        spool.acknowledge(spool.read(10), float(second))
        delete(spool.clean(float(second)))
    assert len(files(spool)) < 5
    assert spool.size < 2_000


def test_rewinding_reads_what_is_left(opener: Opener) -> None:
    spool = opener()
    for _ in range(5):
        spool.append(1, 1, b"x")
    spool.acknowledge(spool.read(3), 0.0)
    spool.rewind()
    frames = spool.read(100)
    assert [frame.sequence for frame in frames] == [1, 2, 3, 4, 5]
    spool.unread(frames[2:])
    assert numbers(spool) == [3, 4, 5]
    spool.acknowledge(frames, 0.0)
    assert (spool.acknowledged, spool.behind) == (5, 0)


def test_at_the_cap_the_oldest_go_counted(opener: Opener) -> None:
    spool = opener(cap=20_000)
    for _ in range(300):
        spool.append(1, 2, b"x" * 200)
    assert spool.size <= 20_000
    left = numbers(spool)
    assert left[-1] == 300
    assert left == list(range(left[0], 301))
    assert spool.dropped == 2 * (left[0] - 1)
    assert spool.behind == 2 * len(left)


def test_discarding_leaves_nothing_and_goes_on_counting(opener: Opener) -> None:
    spool = opener()
    for _ in range(3):
        spool.append(1, 2, b"x" * 3_000)
    spool.acknowledge(spool.read(2), 0.0)
    rows, gone = spool.discard()
    assert rows == 4
    delete(gone)
    assert files(spool) == []
    assert (spool.behind, spool.size, numbers(spool)) == (0, 0, [])
    spool.rewind()
    assert numbers(spool) == []
    assert spool.append(1, 1, b"y") == 4
    assert numbers(spool) == [4]


def test_only_one_process_has_it(opener: Opener, tmp_path: Path) -> None:
    opener()
    second = Spool(tmp_path / "spool", segment_size=4_096, cap=1 << 20, keep=5.0, memory=1 << 16)
    with pytest.raises(ConfigError, match="another pricewatch"):
        second.open()


def test_syncing_gives_every_descriptor_back(opener: Opener) -> None:
    spool = opener()
    assert spool.unsynced() == []
    spool.append(1, 1, b"x")
    handles = spool.unsynced()
    sync(handles)
    assert len(handles) == 2
    with pytest.raises(OSError, match="Bad file"):
        sync(handles[:1])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("arwxc"), st.integers(1, 900)), max_size=60), st.sampled_from([64, 5_000]))
def test_no_frame_is_lost_or_out_of_order(opener: Opener, steps: list[tuple[str, int]], memory: int) -> None:
    """Whatever appending, reading, acknowledging, rewinding and restarting: what is not acknowledged is read."""
    spool = opener(memory=memory)
    spool.acknowledge(spool.read(10**9), 0.0)
    delete(spool.clean(1e9))
    begin = spool.last
    sizes: dict[int, int] = {}
    now = 1e9
    for step, amount in steps:
        now += 3.0
        match step:
            case "a":
                sizes[spool.append(1, 1, b"z" * amount)] = amount
            case "r":
                spool.acknowledge(spool.read(amount), now)
            case "w":
                spool.rewind()
            case "x":
                spool.unread(spool.read(amount))
            case _:
                delete(spool.clean(now))
    done = spool.acknowledged
    spool.rewind()
    left = []
    while frames := spool.read(7):
        left += [(frame.sequence, len(frame.payload)) for frame in frames]
    assert [number for number, _ in left] == list(range(left[0][0] if left else 0, (spool.last + 1) if left else 0))
    assert {number for number in sizes if number > max(done, begin)} <= {number for number, _ in left}
    assert all(sizes[number] == size for number, size in left if number in sizes)
