"""One rule for vocab.txt on both sides of the conversion: a token's line is the id that the model knows."""

from __future__ import annotations

from pathlib import Path

from receipt_layoutlm.errors import LayoutLMError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def read_vocabulary(path: Path, size: int, error: type[LayoutLMError]) -> tuple[str, ...]:
    """Read the tokens in the order of their ids.

    Args:
        path: vocab.txt, one token a line.
        size: how many tokens the model's word embedding has.
        error: what to raise, since a checkpoint and a bundle are held to the same rule.

    Raises:
        LayoutLMError: as `error`, with the line and what is wrong with it.
    """
    try:
        # Only "\n" ends a line: real vocabularies hold characters that splitlines() would break at.
        lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as cause:
        raise error(f"{path.name} is not UTF-8: {cause}. Save it again with the tokenizer.") from cause
    problem = _find_problem(lines, size)
    if problem:
        raise error(f"{path.name} {problem}")
    return tuple(lines)


def _find_problem(lines: list[str], size: int) -> str | None:
    seen: dict[str, int] = {}
    for number, token in enumerate(lines, start=1):
        if not token.strip():
            return f"has a blank line, {number}; clients would skip it and shift every id after it."
        if token != token.strip():
            return f"has white space around the token in line {number}; clients would trim it."
        if token in seen:
            return f"has {token!r} in line {seen[token]} and again in line {number}; a token has one id."
        seen[token] = number
    missing = [token for token in SPECIAL_TOKENS if token not in seen]
    if missing:
        return f"lacks {', '.join(missing)}; it is not the vocabulary of a LayoutLM tokenizer."
    if len(lines) != size:
        return (
            f"has {len(lines)} tokens but the model's vocab_size is {size}; it belongs to another checkpoint."
        )
    return None
