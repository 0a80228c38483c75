"""Lines sorted on a disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from receipt_layoutlm.data.external_sort import ExternalSort


def test_keys_come_in_order_with_all_their_lines_whoever_added_them(tmp_path: Path) -> None:
    keys = [f"{number * 37 % 256:02x}{number % 3}" for number in range(600)]
    with ExternalSort(tmp_path) as piles:

        def put(part: int) -> None:
            for number, key in enumerate(keys[part::4]):
                piles.put(key, f"{part} {number}\n".encode())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, range(4)))
        found = list(piles.take_down())
    assert [key for key, _ in found] == sorted(set(keys))
    assert {key: len(lines) for key, lines in found} == {key: keys.count(key) for key in set(keys)}
    wanted = {f"{part} {number}\n".encode() for part in range(4) for number in range(150)}
    assert {line for _, lines in found for line in lines} == wanted
    assert not list(tmp_path.iterdir())


def test_a_key_decides_nothing_about_where_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "piles"
    folder.mkdir()
    with ExternalSort(folder) as piles:
        for key in ("..", "/x", "", "金額"):
            piles.put(key, b"line\n")
        assert len(list(folder.iterdir())) == 4
        assert [path.name for path in tmp_path.iterdir()] == ["piles"]
        assert [key for key, _ in piles.take_down()] == ["", "..", "/x", "金額"]
