"""Checks of settings: invalid values, settings that contradict each other, unknown names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations
from typing import Annotated, NamedTuple
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator

_PREFIX = "LAYOUTLM_"
_NOT_OURS_TO_READ = frozenset({"LAYOUTLM_RENDEZVOUS"})
"""Names of this project that are no settings: the processes of a training with several GPUs use them."""
_LIKE = 0.9
"""Likeness from which a name without the prefix counts as a mistyped one: LAYOTLM_, LAYOUT_LM_."""
_MAY_BE_ONE = {"TRAIN_RESULTS_QUEUE_URL", "COREML_EXPORT_RESULTS_QUEUE_URL"}
"""Each result says of what kind it is, so both kinds may share a queue."""


class AtMost(NamedTuple):
    """The sum of `parts` must not exceed `bound`, the variable's value or a number; `why` says what would."""

    parts: tuple[str, ...]
    bound: str | float
    why: str


LIMITS = (
    AtMost(
        ("LAYOUTLM_RETRY_BASE_SECONDS",),
        "LAYOUTLM_RETRY_MAX_SECONDS",
        "the first wait for a retry would be longer than the longest",
    ),
    AtMost(
        ("LAYOUTLM_POLL_SECONDS",),
        "LAYOUTLM_LEASE_SECONDS",
        "a lease could run out within one poll, and idle workers look for such leases between polls",
    ),
    AtMost(
        ("LAYOUTLM_MAX_ATTEMPTS",),
        "LAYOUTLM_MAX_CLAIMS",
        "a job would be failed for its claims before it had all its attempts",
    ),
    AtMost(
        ("LAYOUTLM_MESSAGE_SECONDS", "LAYOUTLM_LEASE_SECONDS"),
        43_200,
        "SQS could show the message of a running job again, 12 hours after it was received",
    ),
)


def bare_bucket(bucket: str) -> str:
    """The name of a bucket, if it is one.

    Raises:
        ValueError: it is an address, or no name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        raise ValueError(f"{bucket!r} is not a bucket's name; give the bare name, without s3:// and slashes")
    return bucket


def region_code(region: str) -> str:
    """The code of a region, known or new, if it is one.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)+", region):
        raise ValueError(f"{region!r} is not a region; give its code, for example us-east-1")
    return region


def endpoint(url: str) -> str:
    """A URL that a client of AWS can be made with, if it is one.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"https?://[A-Za-z0-9.:_\[\]-]+(/[^\s\"'<>]*)?", url):
        raise ValueError("is not an endpoint; give http:// or https://, a host and perhaps a port")
    return url


def read_flag(text: object) -> bool:
    """Read a flag as the AWS libraries do, to which only `true` means true.

    Raises:
        ValueError: they would take it for false, and whoever wrote it may have meant true.
    """
    flags = {"true": True, "false": False}
    if (flag := flags.get(str(text).lower())) is None:
        raise ValueError(f"{text!r} is neither true nor false")
    return flag


BucketName = Annotated[str, AfterValidator(bare_bucket)]
Region = Annotated[str, AfterValidator(region_code)]
Endpoint = Annotated[str, AfterValidator(endpoint)]
Flag = Annotated[bool, BeforeValidator(read_flag)]


def find_disguises(environ: Mapping[str, str], names: Iterable[str]) -> Iterator[str]:
    """Tell which variables have something around their values that is not part of them.

    Nothing is taken off without a word: other programs of the host read the same variable with it. The values
    stay out of the sentences, since one may be a secret.
    """
    for name in names:
        text = environ[name]
        if text.endswith("\r"):
            yield f"{name} ends with a carriage return: convert the file, which has Windows line ends"
        elif text != text.strip():
            yield f"{name} has blanks around its value: take them away"
        elif text[0] in "\"'" or text[-1] in "\"'":
            yield f"{name} has quotes around its value, which nothing has taken away: take them away"


def find_contradictions(values: Mapping[str, float]) -> Iterator[str]:
    """A sentence for each limit that the values exceed."""
    for parts, bound, why in LIMITS:
        limit = values[bound] if isinstance(bound, str) else bound
        if sum(values[part] for part in parts) > limit:
            said = " plus ".join(f"{part} ({values[part]:g})" for part in parts)
            most = f"{bound} ({limit:g})" if isinstance(bound, str) else f"{bound:g}"
            yield f"{said} is more than {most}: {why}"


def find_shared_queues(urls: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each pair of variables whose URLs name one queue, also by different hosts."""
    yield from find_equal_queues({variable: _account_and_name(url) for variable, url in urls.items()})


def find_equal_queues(identities: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each two variables of one identity that must not share a queue."""
    for (one, identity), (other, its_identity) in combinations(identities.items(), 2):
        if identity == its_identity and {one, other} != _MAY_BE_ONE:
            yield f"{one} and {other} name the same queue ({identity}); give each one of its own"


def _account_and_name(url: str) -> str:
    """The end of a URL's path. Its host is one of many that lead to the one endpoint in use."""
    parts = [part for part in urlsplit(url).path.split("/") if part]
    return unquote("/".join(parts[-2:])) or url


def find_unknown_names(environ: Mapping[str, str], known: Collection[str]) -> Iterator[str]:
    """A sentence for each variable that looks like one of this project's settings and is none."""
    for name, value in sorted(environ.items()):
        if not value or name in known or name in _NOT_OURS_TO_READ:
            continue
        nearest = _find_nearest(name.upper(), known)
        if nearest is not None:
            yield f"{name} is no setting and has no effect; the nearest one is {nearest}."
        elif name.upper().startswith(_PREFIX):
            yield f"{name} is no setting and has no effect; docs/reference.md lists them all."


def _find_nearest(name: str, known: Collection[str]) -> str | None:
    rest = {one.removeprefix(_PREFIX): one for one in known if one.startswith(_PREFIX)}
    if name.startswith(_PREFIX):  # which would make all of them alike
        near = difflib.get_close_matches(name.removeprefix(_PREFIX), rest, n=1)
        return rest[near[0]] if near else None
    near = difflib.get_close_matches(name, rest.values(), n=1, cutoff=_LIKE)
    return near[0] if near else None
