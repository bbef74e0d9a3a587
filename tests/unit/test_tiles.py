"""Tiles against the specification's own numbers, and the tree that is read from them against the tree."""

from __future__ import annotations

import pytest

from broker.core.errors import BadProof, NotCanonical
from broker.core.merkle import EMPTY_ROOT, Tree, leaf_hash, verify_consistency, verify_inclusion
from broker.core.tiles import (
    ENTRIES,
    Edge,
    Tile,
    TiledTree,
    beginning,
    bundle,
    entries_of,
    hash_tile,
    parse_path,
    rows,
    tile_at,
    tiles_of,
)

LARGEST = 66_000
TREE = Tree(leaf_hash(b"%d" % number) for number in range(LARGEST))


def read(tile: Tile) -> bytes:
    return hash_tile(TREE, tile)


def test_a_tree_of_70000_leaves_has_the_tiles_that_the_specification_counts() -> None:
    found = list(tiles_of(70_000))

    assert [tile for tile in found if tile.level == 0] == [
        *(Tile(0, n) for n in range(273)),
        Tile(0, 273, 112),
    ]
    assert [tile for tile in found if tile.level == 1] == [Tile(1, 0), Tile(1, 1, 17)]
    assert [tile for tile in found if tile.level == 2] == [Tile(2, 0, 1)]
    assert {tile.level for tile in found} == {ENTRIES, 0, 1, 2}
    assert [tile for tile in found if tile.level == ENTRIES][-1] == Tile(ENTRIES, 273, 112)


def test_a_tree_of_256_leaves_has_a_full_tile_and_one_of_width_1_above_it() -> None:
    assert list(tiles_of(256)) == [Tile(ENTRIES, 0), Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_of(255)) == [Tile(ENTRIES, 0, 255), Tile(0, 0, 255)]
    assert list(tiles_of(0)) == []


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(63, 999, 1), "tile/63/999.p/1"),
        (Tile(1, 1_000, 255), "tile/1/x001/000.p/255"),
        (Tile(ENTRIES, 273, 112), "tile/entries/273.p/112"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_tile_is_called_as_the_specification_has_it(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/1000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/",
        "tile/0/../0/000",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/entries",
        "tile/data/000",
        "tile/0/٠٠٠",
    ],
    ids=repr,
)
def test_what_is_written_another_way_names_no_tile(path: str) -> None:
    with pytest.raises(NotCanonical):
        parse_path(path)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 700, 65_535, 65_536, 65_537, LARGEST])
def test_a_tree_read_from_tiles_answers_as_the_tree(size: int) -> None:
    asked: list[Tile] = []

    def noted(tile: Tile) -> bytes:
        asked.append(tile)
        return read(tile)

    tiled = TiledTree(size, noted)
    root = TREE.root(size)

    assert tiled.root() == root
    for index in {0, size // 3, size - 1}:
        path = tiled.inclusion_path(index)
        assert path == TREE.inclusion_path(index, size)
        assert verify_inclusion(tiled.leaf(index), index, size, path, root)
    for old in {1, size // 2, size - 1, size} - {0}:
        path = tiled.consistency_path(old)
        assert path == TREE.consistency_path(old, size)
        assert verify_consistency(old, size, TREE.root(old), root, path)
    # A stranger may fetch what it is asked for: all of it is of a tree of this size.
    assert set(asked) <= set(tiles_of(size))
    assert len(asked) == len(set(asked))


def test_a_tree_without_leaves_needs_no_tile() -> None:
    assert TiledTree(0, read).root() == EMPTY_ROOT


def test_what_was_altered_in_a_tile_leads_to_no_root() -> None:
    size, index = 70_000 % LARGEST + 1_000, 600
    root = TREE.root(size)
    for wrong in tiles_of(size):
        if wrong.level == ENTRIES or wrong.index > 2:
            continue

        def altered(tile: Tile, wrong: Tile = wrong) -> bytes:
            data = bytearray(read(tile))
            if tile == wrong:
                data[index % tile.width * 32] ^= 1
            return bytes(data)

        tiled = TiledTree(size, altered)
        path = tiled.inclusion_path(index)
        holds = verify_inclusion(tiled.leaf(index), index, size, path, root)
        assert holds == (path == TREE.inclusion_path(index, size) and tiled.leaf(index) == TREE.leaf(index))


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b""])
def test_a_tile_of_another_length_is_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(BadProof):
        TiledTree(300, lambda tile: change(read(tile))).root()


def test_a_bundle_holds_its_entries_behind_their_lengths() -> None:
    entries = [b"", b"a", bytes(33), bytes(65_535)]
    data = bundle(entries)

    assert data[:5] == b"\0\0\0\1a"
    assert entries_of(data, 4) == entries
    assert beginning(data, Tile(ENTRIES, 0, 2)) == bundle(entries[:2])
    with pytest.raises(ValueError, match="65,535"):
        bundle([bytes(65_536)])


@pytest.mark.parametrize(
    ("data", "width"),
    [(b"\0\1", 1), (b"\0", 1), (b"", 1), (b"\0\1ab", 1), (b"\0\1a\0\1b", 1), (b"\0\1a", 2)],
    ids=repr,
)
def test_a_bundle_of_another_length_is_refused(data: bytes, width: int) -> None:
    with pytest.raises(BadProof):
        entries_of(data, width)


def test_the_beginning_of_a_tile_is_the_partial_one() -> None:
    assert beginning(read(Tile(0, 0)), Tile(0, 0, 7)) == read(Tile(0, 0, 7))
    for level, short in ((0, bytes(32)), (ENTRIES, b"\0\1a\0")):
        with pytest.raises(BadProof):
            beginning(short, Tile(level, 0, 2))


@pytest.mark.parametrize("step", [1, 100, 255, 256, 257, 9_000])
def test_an_edge_that_grows_gives_every_full_tile_once_and_has_the_root(step: int) -> None:
    count = min(LARGEST, 100 * step)
    edge, given = Edge(), dict[Tile, bytes]()
    for start in range(0, count, step):
        for tile, data in edge.extend([b"%d" % number for number in range(start, min(start + step, count))]):
            assert tile not in given
            given[tile] = data
        if start % (40 * step) == 0:
            assert edge.root() == TREE.root(edge.size)

    assert edge.root() == TREE.root(count)
    assert set(given) == {tile for tile in tiles_of(count) if tile.is_full}
    for tile in tiles_of(count):
        data = given[tile] if tile.is_full else edge.partial(tile.level, tile.index)
        assert data is not None
        if tile.level == ENTRIES:
            assert entries_of(data, tile.width) == [
                b"%d" % number for number in range(tile.index * 256, tile.index * 256 + tile.width)
            ]
        else:
            assert data == read(tile)
    assert edge.partial(0, count // 256 + 1) is edge.partial(7, 0) is None


def test_what_is_in_a_tree_of_a_size_is_what_its_tiles_hold() -> None:
    for size in (1, 255, 256, 70_000):
        there = set(tiles_of(size))
        for level in (ENTRIES, 0, 1, 2):
            for index in range(rows(size, level) // 256 + 2):
                tile = tile_at(size, level, index)
                assert tile is None or (tile in there and tile.is_in(size))
                wider = Tile(level, index, 1 if tile is None else min(tile.width + 1, 256))
                assert wider.is_in(size) == (tile is not None and tile.is_full)
