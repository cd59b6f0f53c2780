"""How work is divided among processes; with real processes in tests/checks/test_ranks.py."""

import pytest

from wildmiddle.empirical.kernels import processes


@pytest.mark.parametrize(("items", "world"), [(7, 3), (2, 3), (12, 4), (5, 1)])
def test_shares_are_consecutive_and_hold_every_item_once(monkeypatch, items, world) -> None:
    shares = []
    monkeypatch.setattr(processes, "_several", lambda: True)
    monkeypatch.setattr(processes.distributed, "get_world_size", lambda: world)
    for rank in range(world):
        monkeypatch.setattr(processes.distributed, "get_rank", lambda rank=rank: rank)
        shares.append(list(processes.share(range(items))))
    assert [item for share in shares for item in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
