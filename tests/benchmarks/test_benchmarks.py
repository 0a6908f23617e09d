from __future__ import annotations

import pytest
from benchmarks.evaluation import levels, naive, ours
from benchmarks.source import made

from benchmarks import __main__ as benchmarks
from benchmarks import peers


def test_the_naive_reference_and_the_engine_give_the_same_signals() -> None:
    source = made("binance", 2_000, ("M0001-USDT",))
    rules = levels(source, 60)
    mine, theirs = ours(source, rules)[0], naive(source, rules)[0]
    assert sorted(mine) == sorted(theirs)
    assert len(mine) > 10


def test_a_quick_run_prints_a_table_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    benchmarks.main(["frames", "engine", "--quick"])
    printed = capsys.readouterr().out
    assert printed.count("###") == 4  # of `engine` there are three: by rules, the dearest trade, the naive reference
    assert "fsync p99" in printed
    assert "binance" in printed


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmarks.main(["speed"])
    assert "there are captures, frames" in capsys.readouterr().err


@pytest.mark.postgres
@pytest.mark.slow
def test_the_cost_of_each_stage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    benchmarks.main(["cost", "--quick"])
    printed = capsys.readouterr().out
    for stage in ("decode", "models", "commit a signal", "a signal to all sockets", "receive with aiohttp"):
        assert stage in printed


def test_no_run_at_all_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmarks.main(["pipeline", "--runs", "0"])
    assert "at least 1" in capsys.readouterr().err


def test_the_first_six_venues_are_chosen_by_their_frames_alone() -> None:
    def made_of(venue: str, count: int) -> peers.Sample:
        frame: str | bytes = b"\x1f\x8b" if venue == "htx" else "{}"
        return peers.Sample([frame] * count, [])

    samples = {venue: made_of(venue, count) for count, venue in enumerate(peers.RECORDINGS, 1)}
    chosen = peers.first(samples)
    assert chosen == sorted(chosen, key=lambda venue: -len(samples[venue].frames))
    assert len(chosen) == peers.MOST
    assert not {"htx", "coinbase", "upbit", "binance"} & set(chosen)  # packed, read by one peer, Binance.US has more
    samples["binance"] = made_of("binance", 99)
    assert peers.first(samples)[0] == "binance"
    assert "binance_us" not in peers.first(samples)
