"""The default model comes from the Hugging Face hub: what a hub that fails means for a job."""

from __future__ import annotations

import errno
import os
import socket
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from messages.hyperparameters import Hyperparameters
from receipt_layoutlm.checkpoint import WEIGHTS
from receipt_layoutlm.source_config import CONFIG
from receipt_layoutlm.tokenizer_files import FAST_TOKENIZER, VOCABULARY
from receipt_layoutlm.training.benchmark.ladder import RungTask, climb
from receipt_layoutlm.training.hub import judge_hub_error
from receipt_layoutlm.training.pretrained import ModelSource
from receipt_layoutlm.training.scratch import SIZES, train_tokenizer
from run_records.errors import ConfigurationError, NetworkError
from run_records.job_process.child_main import classify
from run_records.labels import resolve_labels
from run_records.s3_store import S3Store
from tests.support.fake_hub import FakeHub, Fault, serve_hub

DEFAULT = Hyperparameters().pretrained_model
PASSING: tuple[Fault, ...] = (
    "503",
    "429",
    "500 on download",
    "closed",
    "half a file",
    "another size",
    "captive portal",
    "silence",
)
FINAL: tuple[Fault, ...] = ("no repository", "gated", "forbidden", "no file")


@pytest.fixture
def hub(hub_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The hub of this process, with an empty cache. Its client waits for nothing between two tries."""
    with serve_hub(hub_folder) as running:
        use_endpoint(monkeypatch, running.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", 1)
        for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):
            still = types.SimpleNamespace(**{**vars(__import__("time")), "sleep": lambda _: None})
            monkeypatch.setattr(f"{module}.time", still)
        monkeypatch.setattr("huggingface_hub.file_download._ETAG_RETRY_TIMEOUT", 1)
        yield running


def use_endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """What HF_ENDPOINT does to a process that starts with it."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


def load(tmp_path: Path, name: str = DEFAULT) -> object:
    return ModelSource(name, resolve_labels(Hyperparameters()), 1, 512, tmp_path).load(set(), S3Store(()))


def test_the_default_model_comes_from_the_hub_whole_and_then_from_the_cache(
    hub: FakeHub, tmp_path: Path
) -> None:
    load(tmp_path)
    first = len(hub.requests)
    assert any(f"GET /{DEFAULT}/resolve/" in request and WEIGHTS in request for request in hub.requests)
    load(tmp_path)
    assert [request.partition(" ")[0] for request in hub.requests[first:]] == ["HEAD"]
    hub.fault = "closed"
    load(tmp_path)  # a hub that does not answer is not needed for what is here


@pytest.mark.parametrize("broken", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("fault", PASSING)
def test_a_hub_that_does_not_answer_is_asked_again_later(
    hub: FakeHub, tmp_path: Path, fault: Fault, broken: str
) -> None:
    hub.fault, hub.broken = fault, broken
    with pytest.raises(NetworkError) as caught:
        load(tmp_path)
    error_class, sentence = classify(caught.value)
    assert error_class.retryable
    assert sentence.startswith(f"{broken} of {DEFAULT} could not be fetched from the Hugging Face hub: ")
    assert "It is tried again later." in sentence
    assert "\n" not in sentence
    hub.fault = "none"
    load(tmp_path)  # and what the broken attempt has left is in nobody's way


@pytest.mark.parametrize("broken", [CONFIG, WEIGHTS, ""])
@pytest.mark.parametrize("fault", FINAL)
def test_what_the_hub_does_not_give_out_is_a_matter_of_the_request(
    hub: FakeHub, tmp_path: Path, fault: Fault, broken: str
) -> None:
    hub.fault, hub.broken = fault, broken
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    error_class, sentence = classify(caught.value)
    assert not error_class.retryable
    assert DEFAULT in sentence
    assert "folder or an s3:// prefix" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        (CONFIG, b"<html>", "config.json is not JSON"),
        (CONFIG, b'{"model_type": "bert"}', "of model_type 'bert'"),
        (WEIGHTS, b"x" * 100, "not a whole safetensors file"),
        (VOCABULARY, b"one\n", "lacks [PAD]"),
    ],
)
def test_a_wrong_file_on_the_hub_is_a_matter_of_the_request(
    hub: FakeHub, hub_folder: Path, tmp_path: Path, name: str, body: bytes, expected: str
) -> None:
    hub.folder = tmp_path / "served"
    hub.folder.mkdir()
    for path in hub_folder.iterdir():
        (hub.folder / path.name).write_bytes(body if path.name == name else path.read_bytes())
    with pytest.raises(
        ConfigurationError, match="of the Hugging Face hub is no model to start from"
    ) as caught:
        load(tmp_path)
    assert expected in str(caught.value)


def test_a_hub_without_vocab_txt_serves_its_tokenizer_json(
    hub: FakeHub, hub_folder: Path, tmp_path: Path
) -> None:
    hub.folder = tmp_path / "served"
    hub.folder.mkdir()
    for name in (CONFIG, WEIGHTS):
        (hub.folder / name).write_bytes((hub_folder / name).read_bytes())
    train_tokenizer(["TOTAL", "Milk", "12.50"], SIZES["tiny"]).save_pretrained(hub.folder)
    assert (hub.folder / FAST_TOKENIZER).exists()
    load(tmp_path)
    hub.fault = "closed"
    load(tmp_path)  # the cache remembers that there is no vocab.txt


def test_nothing_listens_there(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        use_endpoint(monkeypatch, f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(NetworkError, match="Connection refused"):
            load(tmp_path)


@pytest.mark.parametrize("name", ["/no/such/folder", "a name with spaces", "one/two/three", "~/gone"])
def test_a_name_that_is_neither_a_folder_nor_a_model_is_a_matter_of_the_request(
    hub: FakeHub, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigurationError, match="is no local folder"):
        load(tmp_path, name)
    assert hub.requests == []


def test_the_signature_of_an_address_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: FakeHub
) -> None:
    hub.fault = "500 on download"
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        hub.url + "/{repo_id}/resolve/{revision}/{filename}?Signature=hush",
    )
    with pytest.raises(NetworkError) as caught:
        load(tmp_path)
    assert hub.url in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_benchmark_says_what_the_hub_said_before_its_first_rung(hub: FakeHub) -> None:
    task = RungTask(rung="", model=DEFAULT, steps=1, parity_steps=0)
    for fault, kind in (("503", NetworkError), ("gated", ConfigurationError)):
        hub.fault = fault  # type: ignore[assignment]  # of two literals
        with pytest.raises(kind, match=DEFAULT):
            climb(task, 1)


def test_a_name_server_that_does_not_know_the_hub_is_the_network() -> None:
    error = LocalEntryNotFoundError("no connection")
    error.__cause__ = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert judge_hub_error(error) is NetworkError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_cache_that_cannot_be_written_is_not_blamed_on_the_hub(number: int) -> None:
    error = OSError(number, os.strerror(number), "/cache/blobs/x.incomplete")
    assert judge_hub_error(error) is None
    assert classify(error)[0].retryable
