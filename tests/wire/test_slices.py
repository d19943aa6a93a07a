"""Windows of slices and updates as messages: both ends take the same values, all of them in turn; bad bytes change nothing."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from concord.errors import ConcordError
from concord.wire.messages import SCHEMA_VERSION, WireError, decode, encode
from concord.wire.slices import VALUE_BYTES, Flat, Window, most_bytes, overhead, update_of, values_of, windows
from concord.wire.v1 import federation_pb2 as pb

Sizes = dict[str, int]

DEGREES = defaultdict(lambda: 2**32 - 1)  # of every slice, the longest on the wire
LONGEST_AGENT = "a" * 63  # of a certificate
names = st.text("abc.+-é", min_size=1, max_size=12)
sizes_of_links = st.dictionaries(names, st.integers(0, 40), min_size=1, max_size=5)
rounds = st.integers(1, 200)


@st.composite
def tight_links(draw: st.DrawFn) -> tuple[Sizes, int]:
    """Slices, and a budget with room for some of their values and never for all."""
    sizes = draw(sizes_of_links)
    total = sum(sizes.values())
    assume(total > 1)
    return sizes, overhead(sizes) + VALUE_BYTES * draw(st.integers(1, total - 1)) + draw(st.integers(0, VALUE_BYTES - 1))


def coordinates(sizes: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(name, place) for name in sorted(sizes) for place in range(sizes[name])]


def carried(parts: tuple[Window, ...]) -> list[tuple[str, int]]:
    return [(w.slice, place) for w in parts for place in range(w.begin, w.begin + w.length)]


def values_for(sizes: Mapping[str, int], seed: int = 0) -> dict[str, Flat]:
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(size, dtype=np.float32) for name, size in sizes.items()}


@given(tight_links(), rounds)
def test_the_windows_of_rounds_in_a_row_go_through_all_values_and_begin_again(link: tuple[Sizes, int], first: int) -> None:
    sizes, budget = link
    every = coordinates(sizes)
    room = (budget - overhead(sizes)) // VALUE_BYTES
    for round_ in range(first, first + 3):
        begin = (round_ - 1) * room
        wanted = [every[place % len(every)] for place in range(begin, begin + room)]
        found = carried(windows(sizes, round_, budget))
        assert len(found) == len(set(found)) == room
        assert set(found) == set(wanted)


@given(tight_links(), rounds)
def test_in_a_cycle_every_value_travels_equally_often_and_none_is_left_out(link: tuple[Sizes, int], first: int) -> None:
    sizes, budget = link
    total, room = sum(sizes.values()), (budget - overhead(sizes)) // VALUE_BYTES
    cycle = math.lcm(room, total) // room  # rounds until the first window comes again
    counts = Counter(c for round_ in range(first, first + cycle) for c in carried(windows(sizes, round_, budget)))
    assert counts == dict.fromkeys(coordinates(sizes), cycle * room // total)
    assert windows(sizes, first + cycle, budget) == windows(sizes, first, budget)
    fair = Counter(c for round_ in range(1, 1 + -(-total // room)) for c in carried(windows(sizes, round_, budget)))
    assert set(fair.values()) <= {1, 2}  # as soon as there was room for all, all have travelled, and none a third time
    assert fair.keys() == set(coordinates(sizes))


def test_windows_by_hand() -> None:
    sizes = {"b": 3, "a": 4}
    budget = overhead(sizes) + 5 * VALUE_BYTES
    assert windows(sizes, 1, budget) == (Window("a", 0, 4), Window("b", 0, 1))
    assert windows(sizes, 2, budget) == (Window("a", 0, 3), Window("b", 1, 2))
    assert windows(sizes, 3, budget) == (Window("a", 0, 1), Window("a", 3, 1), Window("b", 0, 3))


@given(sizes_of_links, rounds, st.integers(0, 4000), st.randoms(use_true_random=False))
def test_both_ends_see_the_same_windows_whatever_the_order_of_their_slices(
    sizes: Sizes, round_: int, more: int, random: object
) -> None:
    budget = overhead(sizes) + VALUE_BYTES + more
    items = list(sizes.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert windows(dict(items), round_, budget) == windows(sizes, round_, budget)


@given(sizes_of_links, rounds, st.integers(0, 3))
def test_without_a_budget_or_with_enough_everything_travels_in_every_round(sizes: Sizes, round_: int, spare: int) -> None:
    whole = tuple(Window(name, 0, sizes[name]) for name in sorted(sizes) if sizes[name])
    assert windows(sizes, round_, 0) == whole
    enough = overhead(sizes) + VALUE_BYTES * max(1, sum(sizes.values())) + spare
    assert windows(sizes, round_, enough) == whole


@given(tight_links(), st.integers(1, 2**32 - 1), st.dictionaries(names, st.integers(0, 2**32 - 1), max_size=40))
def test_no_message_is_above_the_budget(link: tuple[Sizes, int], round_: int, heard: dict[str, int]) -> None:
    sizes, budget = link
    parts = windows(sizes, round_, budget)
    assert len(encode(update_of(LONGEST_AGENT, round_, values_for(sizes), parts, DEGREES, heard, budget))) <= budget
    assert dict(update_of("anna", round_, values_for(sizes), parts, DEGREES, heard, 0).heard) == heard


def test_what_was_heard_of_whom_is_told_in_turns_where_it_does_not_fit() -> None:
    sizes = {"encoder.image": 100}
    budget = overhead(sizes) + 50 * VALUE_BYTES
    heard = {f"agent-{number:03}": number for number in range(60)}
    told: set[str] = set()
    for round_ in range(1, 61):
        update = update_of("anna", round_, values_for(sizes), windows(sizes, round_, budget), DEGREES, heard, budget)
        assert 0 < len(update.heard) < len(heard)
        assert all(heard[name] == number for name, number in update.heard.items())
        assert len(encode(update)) <= budget
        told |= update.heard.keys()
    assert told == heard.keys()


@given(sizes_of_links, st.integers(0, 300))
def test_a_budget_without_room_for_a_value_is_told(sizes: Sizes, missing: int) -> None:
    assume(sum(sizes.values()))
    budget = overhead(sizes) + VALUE_BYTES - 1 - missing
    assume(budget > 0)
    with pytest.raises(ConcordError, match=rf"C103 .*overlay\.budget = {budget}: a link of {len(sizes)} slices"):
        windows(sizes, 1, budget)
    with pytest.raises(ConcordError) as told:
        windows(sizes, 1, budget)
    assert windows(sizes, 1, int(str(told.value.hint).split()[3]))  # what the hint says helps


def test_a_link_without_values_needs_no_budget() -> None:
    assert windows({}, 1, 1) == windows({"empty": 0}, 3, 1) == ()


@given(sizes_of_links, rounds, st.integers(0, 400), st.booleans())
def test_what_is_said_is_what_is_heard(sizes: Sizes, round_: int, more: int, bound: bool) -> None:
    budget = overhead(sizes) + VALUE_BYTES + more if bound else 0
    parts, flat = windows(sizes, round_, budget), values_for(sizes)
    update = update_of("anna", round_, flat, parts, DEGREES, {"bert": 2}, budget)
    back = decode(pb.SliceUpdate, encode(update))
    assert (back.agent, back.round, dict(back.heard)) == ("anna", round_, {"bert": 2})
    values = values_of(back.pieces, windows(sizes, round_, budget))
    assert tuple(values) == parts
    for window, array in values.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, flat[window.slice][window.begin : window.begin + window.length])


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_every_finite_value_keeps_its_bits(values: list[float]) -> None:
    flat = {"x": np.array(values, dtype=np.float32)}
    parts = (Window("x", 0, len(values)),)
    (array,) = values_of(update_of("anna", 1, flat, parts, DEGREES, {}, 0).pieces, parts).values()
    assert array.tobytes() == flat["x"].tobytes()


@given(sizes_of_links, rounds, st.integers(0, 400), st.booleans(), st.integers(0, 5))
def test_no_update_is_larger_than_the_bound(sizes: Sizes, round_: int, more: int, bound: bool, agents: int) -> None:
    budget = overhead(sizes) + VALUE_BYTES + more if bound else 0
    heard = {f"{number}".rjust(len(LONGEST_AGENT), "x"): 2**32 - 1 for number in range(agents)}
    update = update_of(LONGEST_AGENT, round_, values_for(sizes), windows(sizes, round_, budget), DEGREES, heard, budget)
    assert update.ByteSize() <= most_bytes(sizes, budget, agents)


def test_bytes_are_little_endian_float32() -> None:
    update = update_of("anna", 1, {"x": np.array([1.0, -2.5], dtype=np.float32)}, [Window("x", 0, 2)], DEGREES, {}, 0)
    assert update.pieces[0].values == bytes.fromhex("0000803f000020c0")


def test_pieces_may_be_left_out() -> None:
    sizes = {"a": 3, "b": 2}
    parts = windows(sizes, 1, 0)
    update = update_of("anna", 1, values_for(sizes), parts, DEGREES, {}, 0)
    del update.pieces[0]
    assert list(values_of(update.pieces, parts)) == [Window("b", 0, 2)]
    del update.pieces[:]
    assert values_of(update.pieces, parts) == {}


SIZES = {"a": 6, "b": 5}
TIGHT = overhead(SIZES) + 7 * VALUE_BYTES  # in round 2: the first 3 of a, and all of b but its first


def piece(update: pb.SliceUpdate, name: str = "a") -> pb.Piece:
    return next(p for p in update.pieces if p.slice == name)


def unknown_slice(update: pb.SliceUpdate) -> None:
    piece(update).slice = "c"


def no_name(update: pb.SliceUpdate) -> None:
    piece(update).slice = ""


def other_slice(update: pb.SliceUpdate) -> None:
    piece(update).slice = "b"


def later_place(update: pb.SliceUpdate) -> None:
    piece(update).begin += 1


def far_place(update: pb.SliceUpdate) -> None:
    piece(update).begin = 2**64 - 1


def outside_of_the_window(update: pb.SliceUpdate) -> None:
    piece(update).begin = 3


def one_less(update: pb.SliceUpdate) -> None:
    piece(update).values = piece(update).values[:-VALUE_BYTES]


def one_more(update: pb.SliceUpdate) -> None:
    piece(update).values += bytes(VALUE_BYTES)


def odd_bytes(update: pb.SliceUpdate) -> None:
    piece(update).values = piece(update).values[:-1]


def nothing(update: pb.SliceUpdate) -> None:
    piece(update).values = b""


def twice(update: pb.SliceUpdate) -> None:
    update.pieces.append(piece(update))


def value(number: float) -> Callable[[pb.SliceUpdate], None]:
    def change(update: pb.SliceUpdate) -> None:
        values = np.frombuffer(piece(update, "b").values, "<f4").copy()
        values[-1] = number
        piece(update, "b").values = values.tobytes()

    return change


def good() -> pb.SliceUpdate:
    return update_of("anna", 2, values_for(SIZES), windows(SIZES, 2, TIGHT), DEGREES, {}, TIGHT)


def test_the_update_that_is_spoilt_below_is_sound() -> None:
    assert list(values_of(good().pieces, windows(SIZES, 2, TIGHT))) == [Window("a", 0, 3), Window("b", 1, 4)]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (unknown_slice, "not what the link carries in this round"),
        (no_name, "not what the link carries"),
        (other_slice, "not what the link carries"),
        (later_place, "from value 1: not what"),
        (far_place, "not what the link carries"),
        (outside_of_the_window, "not what the link carries"),
        (one_less, "8 bytes of slice 'a' from value 0: not what"),
        (one_more, "16 bytes of slice 'a'"),
        (odd_bytes, "11 bytes"),
        (nothing, "0 bytes"),
        (twice, "not what the link carries"),
        (value(math.nan), "slice 'b' has a value that is not finite"),
        (value(math.inf), "slice 'b' has a value that is not finite"),
        (value(-math.inf), "slice 'b' has a value that is not finite"),
    ],
)
def test_a_hostile_piece_gives_a_wire_error(spoil: Callable[[pb.SliceUpdate], None], why: str) -> None:
    update = good()
    spoil(update)
    with pytest.raises(WireError, match=why):
        values_of(decode(pb.SliceUpdate, encode(update)).pieces, windows(SIZES, 2, TIGHT))


def test_an_update_of_another_round_has_other_windows() -> None:
    with pytest.raises(WireError, match="not what the link carries"):
        values_of(good().pieces, windows(SIZES, 3, TIGHT))


def test_a_name_of_any_length_makes_no_long_message() -> None:
    update = good()
    piece(update).slice = "x" * 100_000
    with pytest.raises(WireError) as told:
        values_of(update.pieces, windows(SIZES, 2, TIGHT))
    assert len(str(told.value)) < 400


@given(st.data())
def test_bytes_that_were_changed_give_finite_values_or_a_wire_error(data: st.DataObject) -> None:
    whole = bytearray(encode(good()))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(whole) // 2, len(whole)))
    parts = windows(SIZES, 2, TIGHT)
    try:
        update = decode(pb.SliceUpdate, bytes(whole[:cut]))
        assert update.schema_version == SCHEMA_VERSION
        values = values_of(update.pieces, parts)
    except WireError:
        return
    assert values.keys() <= set(parts)
    assert all(array.shape == (window.length,) and np.isfinite(array).all() for window, array in values.items())


@given(st.binary(max_size=80))
def test_random_bytes_give_a_message_or_a_wire_error(data: bytes) -> None:
    try:
        update = decode(pb.SliceUpdate, data)
        values_of(update.pieces, windows(SIZES, 2, TIGHT))
    except WireError:
        pass
