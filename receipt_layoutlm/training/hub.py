"""Downloads a model from the Hugging Face hub; distinguishes an unreachable hub from a wrong request."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from receipt_layoutlm.checkpoint import WEIGHTS
from receipt_layoutlm.source_config import CONFIG
from receipt_layoutlm.tokenizer_files import FAST_TOKENIZER, TOKENIZER_CONFIG, VOCABULARY
from run_records.error_causes import causes_of, find_full_disk
from run_records.errors import ConfigurationError, NetworkError, RunError

log = logging.getLogger(__name__)

_NEWEST = "main"
_ELSEWHERE = ("scratch:", "s3://")
# Request timeout, proxy that wants a password, a range that a broken download asked for, too many requests.
_PASSING_STATUSES = frozenset({407, 408, 416, 425, 429})
_SERVER_ERROR = 500


def is_on_hub(name: str) -> bool:
    """Whether a name is of a hub model: neither built from scratch, nor a folder here or in S3."""
    return not name.startswith(_ELSEWHERE) and not Path(name).expanduser().is_dir()


def fetch_from_hub(name: str) -> Path:
    """The folder, in the hub's cache on this disk, with a model's files, all of one revision.

    What the cache has is used when the hub does not answer.

    Raises:
        NetworkError: the hub does not answer, or a download broke off; another attempt can help.
        ConfigurationError: the hub has no such model, does not give it out, or it has no usable weights.
    """
    folder = _fetch(name, CONFIG, _NEWEST).parent
    _fetch(name, WEIGHTS, folder.name)
    if not _has(name, VOCABULARY, folder.name):
        _fetch(name, FAST_TOKENIZER, folder.name)
    _has(name, TOKENIZER_CONFIG, folder.name)
    return folder


def _has(name: str, file: str, revision: str) -> bool:
    """Fetch a file that not every model has."""
    # The cache remembers what a model does not have, which a hub that does not answer cannot tell.
    if try_to_load_from_cache(name, file, revision=revision) is _CACHED_NO_EXIST:
        return False
    try:
        _fetch(name, file, revision)
    except ConfigurationError as error:
        log.info("%s goes without %s: %s", name, file, error)
        return False
    return True


class _FileMissing(ConfigurationError):  # noqa: N818 - reads as what happened
    """The hub has the model, and not this file of it."""


def _fetch(name: str, file: str, revision: str) -> Path:
    try:
        return Path(hf_hub_download(name, file, revision=revision))
    except Exception as error:
        judged = judge_hub_error(error)
        if judged is None:
            raise
        if judged is NetworkError and (cached := _find_in_cache(name, file, revision)):
            log.warning("%s of %s is taken from the cache: %s", file, name, _last_cause(error))
            return cached
        raise judged(_SENTENCES[judged].format(name=name, file=file, said=_last_cause(error))) from error


def _find_in_cache(name: str, file: str, revision: str) -> Path | None:
    """A file of an earlier download; the hub's client itself looks for it after some failures only."""
    found = try_to_load_from_cache(name, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


_SENTENCES: dict[type[RunError], str] = {
    NetworkError: "{file} of {name} could not be fetched from the Hugging Face hub: {said} It is tried again "
    "later. A host without a way to the hub needs HF_ENDPOINT of a mirror, a filled cache (HF_HOME), or "
    "pretrained_model as an s3:// prefix.",
    ConfigurationError: "{name} is no local folder, and the Hugging Face hub does not give it out: {said} "
    "Check the name and, for a private or gated model, HF_TOKEN; or name a folder or an s3:// prefix, or use "
    "scratch:small.",
    _FileMissing: "{name} has no {file} on the Hugging Face hub, so it is not loaded (pickles never are). "
    "Name a LayoutLM with one, a folder or an s3:// prefix.",
}


def judge_hub_error(error: Exception) -> type[RunError] | None:
    """The kind of a failure of the hub's client, by all its causes; None for one of this host's own files.

    What the hub has refused for good is a matter of the request. Everything else that can go wrong on the way
    may go well another time: refused connections, time-outs, name servers, proxies that answer in the hub's
    place, downloads of another length.
    """
    if find_full_disk(error) is not None:
        return None
    for one in causes_of(error):
        if isinstance(one, OfflineModeIsEnabled | HFValidationError):
            return ConfigurationError
        if isinstance(one, EntryNotFoundError) and not isinstance(one, LocalEntryNotFoundError):
            return _FileMissing
        if isinstance(one, HfHubHTTPError):
            status = one.response.status_code
            passing = status >= _SERVER_ERROR or status in _PASSING_STATUSES
            return NetworkError if passing else ConfigurationError
    is_local = isinstance(error, OSError) and error.errno is not None
    return None if is_local and not isinstance(error, ConnectionError | TimeoutError) else NetworkError


def _last_cause(error: Exception) -> str:
    """The sentence of the last cause, since the client's own speak of its options."""
    *_, last = causes_of(error)
    # Without the queries of addresses, which may carry a signature.
    text = re.sub(r"\?[^\s'\"]*", "", " ".join(str(last).split())) or type(last).__name__
    return text if text.endswith(".") else f"{text}."
