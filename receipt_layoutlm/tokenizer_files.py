"""Reads the tokenizer of a checkpoint or a bundle: a token's place is the id that the model knows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import BaseModel

from receipt_layoutlm.source_config import describe, read_object, refuse_remote_code
from run_records.errors import RunError

VOCABULARY = "vocab.txt"
TOKENIZER_CONFIG = "tokenizer_config.json"
FAST_TOKENIZER = "tokenizer.json"
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")

_BYTE_ORDER_MARK = "\N{BYTE ORDER MARK}"


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """The settings in the documents of a tokenizer.

    Attributes:
        vocabulary: the tokens in the order of their ids.
        settings: tokenizer_config.json, with do_lower_case in any case.
    """

    vocabulary: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def lowercase(self) -> bool:
        """Whether text is converted to lower case first."""
        return bool(self.settings["do_lower_case"])


def read_tokenizer(folder: Path, size: int, error: type[RunError]) -> TokenizerFiles:
    """Read the vocabulary and the settings of a folder's tokenizer.

    From vocab.txt or, where transformers 5 has saved none, from tokenizer.json. Of both, each must say the
    same: a vocabulary of another training, of as many tokens, gives every word another meaning.

    Args:
        folder: of a checkpoint or a bundle.
        size: how many tokens the model's word embedding has.
        error: what to raise, since a checkpoint and a bundle are held to the same rule.

    Raises:
        RunError: as `error`, with the file and what is wrong with it.
    """
    settings = _read_settings(folder / TOKENIZER_CONFIG, error)
    fast = _read_fast(folder / FAST_TOKENIZER, error) if (folder / FAST_TOKENIZER).exists() else None
    if (folder / VOCABULARY).exists():
        tokens = read_vocabulary(folder / VOCABULARY, size, error)
        if fast is not None:
            _compare(tokens, fast.vocabulary, error)
    elif fast is not None:
        tokens = fast.vocabulary
        if problem := _find_problem(tokens, size):
            raise error(f"{FAST_TOKENIZER} {problem}")
    else:
        raise error(f"{folder} has neither {VOCABULARY} nor {FAST_TOKENIZER}. Save the tokenizer beside it.")
    lowercase = settings.get("do_lower_case", fast.lowercase if fast else True)
    if not isinstance(lowercase, bool):
        raise error(f"{TOKENIZER_CONFIG}: do_lower_case must be true or false, not {lowercase!r}.")
    return TokenizerFiles(tokens, {**settings, "do_lower_case": lowercase})


def hash_vocabulary(tokens: Iterable[str]) -> str:
    """SHA-256 of tokens in the order of their ids, in whatever file they lie."""
    return hashlib.sha256("\n".join(tokens).encode()).hexdigest()


def read_vocabulary(path: Path, size: int, error: type[RunError]) -> tuple[str, ...]:
    """Read vocab.txt, in which a token's line is its id; arguments and errors as for `read_tokenizer`."""
    try:
        # Only "\n" ends a line: real vocabularies hold characters that splitlines() would break at.
        lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as cause:
        raise error(f"{path.name} is not UTF-8: {cause}. Save it again with the tokenizer.") from cause
    if problem := _find_problem(lines, size):
        raise error(f"{path.name} {problem}")
    return tuple(lines)


def _read_settings(path: Path, error: type[RunError]) -> dict[str, Any]:
    if not path.exists():
        return {}
    data = read_object(path, error)
    refuse_remote_code(path.name, data, error)
    return data


@dataclass(frozen=True, slots=True)
class _FastTokenizer:
    vocabulary: tuple[str, ...]
    lowercase: bool


class _WordPiece(BaseModel):
    type: Literal["WordPiece"]
    vocab: dict[str, int]


class _AddedToken(BaseModel):
    id: int
    content: str


class _Normalizer(BaseModel):
    lowercase: bool = True


class _FastFile(BaseModel):
    """The part of tokenizer.json that says what vocab.txt and tokenizer_config.json say."""

    model: _WordPiece
    added_tokens: tuple[_AddedToken, ...] = ()
    normalizer: _Normalizer | None = None


def _read_fast(path: Path, error: type[RunError]) -> _FastTokenizer:
    try:
        file = _FastFile.model_validate(read_object(path, error))
    except pydantic.ValidationError as cause:
        raise error(
            f"{path.name} is not that of a WordPiece tokenizer: {describe(cause)}. LayoutLM reads no other."
        ) from cause
    ids = {**file.model.vocab, **{token.content: token.id for token in file.added_tokens}}
    tokens = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise error(f"{path.name}: the ids of its {len(tokens)} tokens are not 0 to {len(tokens) - 1}.")
    return _FastTokenizer(tuple(tokens), file.normalizer.lowercase if file.normalizer else False)


def _compare(tokens: Sequence[str], others: Sequence[str], error: type[RunError]) -> None:
    for number, (token, other) in enumerate(zip(tokens, others, strict=False), start=1):
        if token != other:
            raise error(
                f"{VOCABULARY} and {FAST_TOKENIZER} differ: token {number} is {token!r} in one and {other!r} "
                "in the other. One of them belongs to another checkpoint; copy the whole folder again."
            )
    if len(tokens) != len(others):
        raise error(
            f"{VOCABULARY} has {len(tokens)} tokens and {FAST_TOKENIZER} {len(others)}. One of them belongs "
            "to another checkpoint; copy the whole folder again."
        )


def _find_problem(tokens: Sequence[str], size: int) -> str | None:
    seen: dict[str, int] = {}
    for number, token in enumerate(tokens, start=1):
        if problem := _find_problem_of(token):
            return problem.format(line=number)
        if token in seen:
            return f"has {token!r} in line {seen[token]} and again in line {number}; a token has one id."
        seen[token] = number
    missing = [token for token in SPECIAL_TOKENS if token not in seen]
    if missing:
        return (
            f"lacks {', '.join(missing)}; it is not the vocabulary of a LayoutLM tokenizer. Save the "
            "tokenizer that the model was trained with."
        )
    if len(tokens) != size:
        return (
            f"has {len(tokens)} tokens but the model's vocab_size is {size}; it belongs to another "
            "checkpoint. Copy the whole folder again."
        )
    return None


def _find_problem_of(token: str) -> str | None:
    if not token.strip():
        return "has a blank line, {line}; clients would skip it and shift every id after it."
    if token.startswith(_BYTE_ORDER_MARK):
        return "has a byte-order mark in line {line}, as a part of the token; save it without."
    if token != token.strip():
        return "has white space around the token in line {line}; clients would trim it."
    return None
