"""The client of the instance metadata service, against one over real HTTP."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.fake_imds import INSTANCE_ID, SPOT, FakeImds, fake_imds
from workers.errors import MetadataError
from workers.host.imds import RENEW_SECONDS, TOKEN_SECONDS, Metadata, is_ec2, metadata_opened
from workers.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    with fake_imds() as imds:
        yield imds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def metadata(imds: FakeImds, clock: Clock) -> AsyncIterator[Metadata]:
    timeout = aiohttp.ClientTimeout(total=0.2)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        yield Metadata(imds.url, session, steady=clock)


def settings(imds: FakeImds, **more: str) -> Settings:
    return Settings.from_environ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{imds.url}/", **more})


async def test_one_token_serves_many_requests_and_what_is_not_there_is_none(
    metadata: Metadata, imds: FakeImds
) -> None:
    assert [await metadata.get("instance-id") for _ in range(3)] == [INSTANCE_ID] * 3
    assert await metadata.get(SPOT) is None
    assert (imds.tokens, imds.refused) == (1, 0)


async def test_a_token_is_exchanged_before_it_ends(metadata: Metadata, imds: FakeImds, clock: Clock) -> None:
    await metadata.get("instance-id")
    clock.now += TOKEN_SECONDS - RENEW_SECONDS - 1
    await metadata.get("instance-id")
    assert imds.tokens == 1
    clock.now += 1
    await metadata.get("instance-id")
    assert (imds.tokens, imds.refused) == (2, 0)


async def test_a_token_that_was_lost_there_is_asked_for_again(metadata: Metadata, imds: FakeImds) -> None:
    await metadata.get("instance-id")
    imds.forget_tokens()
    assert await metadata.get("instance-id") == INSTANCE_ID
    assert (imds.tokens, imds.refused) == (2, 1)


@pytest.mark.parametrize("trouble", ["broken", "silent"])
async def test_a_service_in_trouble_is_an_error_and_its_recovery_needs_nothing(
    metadata: Metadata, imds: FakeImds, trouble: str
) -> None:
    setattr(imds, trouble, True)
    with pytest.raises(MetadataError):
        await metadata.get("instance-id")
    setattr(imds, trouble, False)
    assert await metadata.get("instance-id") == INSTANCE_ID


async def test_on_ec2_the_service_is_found_where_the_variable_says(imds: FakeImds) -> None:
    async with metadata_opened(settings(imds)) as found:
        assert found is not None
        assert await found.get("instance-id") == INSTANCE_ID


async def test_switched_off_it_is_not_asked(imds: FakeImds) -> None:
    async with metadata_opened(settings(imds, AWS_EC2_METADATA_DISABLED="True")) as found:
        assert found is None
    assert (imds.tokens, imds.asked) == (0, [])


async def test_a_service_that_does_not_answer_at_the_start_is_kept_and_asked_again(imds: FakeImds) -> None:
    imds.broken = True
    async with metadata_opened(settings(imds)) as found:
        assert found is not None
        with pytest.raises(MetadataError, match="token: status 503"):
            await found.get("instance-id")
        imds.broken = False
        assert await found.get("instance-id") == INSTANCE_ID


@pytest.mark.parametrize(
    ("files", "platform", "ec2"),
    [
        ({"sys_vendor": "Amazon EC2\n", "bios_version": "1.0\n"}, "linux", True),
        ({"sys_vendor": "Xen\n", "bios_version": "4.11.amazon\n"}, "linux", True),
        ({"sys_vendor": "LENOVO\n", "bios_version": "N2IET98W\n"}, "linux", False),
        ({}, "linux", None),
        ({}, "darwin", False),
    ],
)
def test_a_machine_is_known_by_its_maker_without_a_request(
    tmp_path: Path, files: dict[str, str], platform: str, ec2: bool | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert is_ec2(tmp_path, platform) is ec2


@pytest.mark.parametrize(("ec2", "expected"), [(True, True), (None, False)])
async def test_where_no_address_is_set_the_maker_decides_whether_an_answer_is_expected(
    monkeypatch: pytest.MonkeyPatch, ec2: bool | None, expected: bool
) -> None:
    monkeypatch.setattr("workers.host.imds.is_ec2", lambda: ec2)
    async with metadata_opened(Settings.from_environ({})) as found:
        assert found is not None
        assert found.expected is expected


async def test_a_machine_that_is_surely_not_ec2s_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.host.imds.is_ec2", lambda: False)
    async with metadata_opened(Settings.from_environ({})) as found:
        assert found is None


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        ("<html>sign in</html>", {"Content-Type": "text/html"}, "a page in HTML"),
        ("x" * 100_000, {}, "an answer of more than 65536 bytes"),
        (gzip.compress(b"x" * 10_000_000)[:-8] * 10, {"Content-Encoding": "gzip"}, "more than 65536 bytes"),
    ],
)
async def test_what_no_metadata_service_says_is_an_error_that_says_so(
    metadata: Metadata, imds: FakeImds, body: str | bytes, headers: dict[str, str], error: str
) -> None:
    await metadata.get("instance-id")  # the token
    imds.values[SPOT], imds.headers = body, headers
    with pytest.raises(MetadataError, match=error):
        await metadata.get(SPOT)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff\xfe\x00", {}),
        (b"\xff", {"Content-Type": "text/plain; charset=base64"}),
        (b"+", {"Content-Type": "text/plain; charset=utf-7"}),
        (b"\x1f\x8b broken", {"Content-Encoding": "gzip"}),
    ],
)
async def test_a_value_in_another_encoding_is_read_as_far_as_it_is_text(
    metadata: Metadata, imds: FakeImds, body: bytes, headers: dict[str, str]
) -> None:
    imds.values[SPOT], imds.headers = body, headers
    assert await metadata.get(SPOT) == body.decode(errors="replace").strip()


async def test_a_redirect_is_not_followed_because_the_token_would_go_along(
    metadata: Metadata, imds: FakeImds
) -> None:
    with fake_imds() as elsewhere:
        imds.headers = {"Location": f"{elsewhere.url}/latest/meta-data/{SPOT}"}
        imds.statuses[SPOT] = 302
        with pytest.raises(MetadataError, match="status 302"):
            await metadata.get(SPOT)
        assert (elsewhere.tokens, elsewhere.refused) == (0, 0)


async def test_a_token_that_is_none_is_sent_nowhere(metadata: Metadata, imds: FakeImds) -> None:
    imds.token = "a token\r\nHost: elsewhere"
    with pytest.raises(MetadataError, match="token: an answer that is none"):
        await metadata.get(SPOT)
    assert (imds.asked, imds.refused) == ([], 0)


@pytest.mark.parametrize(("text", "disabled"), [("true", True), ("TRUE", True), ("false", False)])
def test_only_true_switches_the_service_off_as_in_the_sdks(text: str, disabled: bool) -> None:
    assert Settings.from_environ({"AWS_EC2_METADATA_DISABLED": text}).metadata_disabled is disabled
