"""The client of the instance metadata service, against one over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.fake_imds import INSTANCE_ID, SILENCE_SECONDS, SPOT, FakeImds, fake_imds
from workers.host.errors import MetadataError
from workers.host.imds import RENEW_SECONDS, TOKEN_SECONDS, Metadata, may_be_ec2, metadata_opened
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
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Metadata(imds.url, session, clock)


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


async def test_a_service_that_does_not_answer_at_the_start_is_left_alone(imds: FakeImds) -> None:
    imds.silent = True
    async with asyncio.timeout(SILENCE_SECONDS / 2), metadata_opened(settings(imds)) as found:
        assert found is None


@pytest.mark.parametrize(
    ("files", "platform", "maybe"),
    [
        ({"sys_vendor": "Amazon EC2\n", "bios_version": "1.0\n"}, "linux", True),
        ({"sys_vendor": "Xen\n", "bios_version": "4.11.amazon\n"}, "linux", True),
        ({"sys_vendor": "LENOVO\n", "bios_version": "N2IET98W\n"}, "linux", False),
        ({}, "linux", True),
        ({}, "darwin", False),
    ],
)
def test_only_a_machine_that_may_be_ec2s_is_asked(
    tmp_path: Path, files: dict[str, str], platform: str, maybe: bool
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert may_be_ec2(tmp_path, platform) is maybe


@pytest.mark.parametrize(
    ("text", "disabled"), [("true", True), ("TRUE", True), ("false", False), ("1", False)]
)
def test_only_true_switches_the_service_off_as_in_the_sdks(text: str, disabled: bool) -> None:
    assert Settings.from_environ({"AWS_EC2_METADATA_DISABLED": text}).metadata_disabled is disabled
