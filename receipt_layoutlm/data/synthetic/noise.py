"""The slips of text recognition: a character taken for its look-alike, lost or seen twice."""

from random import Random

SLIPS_PER_CHARACTER = 0.015
LOST_OR_DOUBLED = 0.2
SHORTEST_TO_LOSE_FROM = 4
LOOK_ALIKES = {
    "0": "O",
    "O": "0",
    "1": "lI",
    "I": "1l",
    "l": "1I",
    "L": "1",
    "5": "S",
    "S": "5",
    "8": "B",
    "B": "8",
    "2": "Z",
    "Z": "2",
    "6": "G",
    "G": "6",
}


def misread(word: str, random: Random) -> str:
    """The word as text recognition may read it; never empty, mostly unchanged."""
    read = "".join(_misread_character(c, len(word), random) for c in word)
    return read or word


def _misread_character(character: str, word_length: int, random: Random) -> str:
    if random.random() >= SLIPS_PER_CHARACTER:
        return character
    if character in LOOK_ALIKES and random.random() >= LOST_OR_DOUBLED:
        return random.choice(LOOK_ALIKES[character])
    return random.choice(("", character * 2)) if word_length >= SHORTEST_TO_LOSE_FROM else character


def confidence(read: str, printed: str, random: Random) -> float:
    """How sure the recognition says it is, in two decimals: less so where it slipped."""
    lowest, highest = (95, 100) if read == printed else (60, 92)
    return random.randint(lowest, highest) / 100
