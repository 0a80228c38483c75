"""One machine for all tests of a session; each leaves it with an idle worker."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.build import ROOT
from receipt_dynamo import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from tests.boot.installed import SETTINGS, SHORTER, UNIT, Site
from tests.boot.machine import Machine
from tests.boot.release import lend_packages, lent_folders, write_release
from tests.boot.timeline import Timeline
from tests.boot.tree import build_tree, kept_tree, missing
from workers.local_aws.local_stack import LocalStack, MotoServer

WATCHDOG_SECONDS = 20
_DROP_IN = f"/etc/systemd/system/{UNIT}.service.d/boot-test.conf"


@pytest.fixture(scope="session")
def tree() -> Path:
    if reason := missing():
        pytest.skip(reason)
    tree = kept_tree()
    if not tree.exists() and (reason := build_tree(tree)):
        pytest.skip(f"debootstrap could not build a Debian: {reason}")
    return tree


@pytest.fixture(scope="session")
def site(tree: Path, emulator: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    timeline = Timeline()
    timeline.step("A fresh host")
    stack = LocalStack.make(emulator, suffix="-boot")
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(client, synthetic.generate(24, 5))
    folder = tmp_path_factory.mktemp("machine")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    with Machine(tree, folder, lent_folders()) as machine:
        timeline.say("systemd is PID 1 and has started everything")
        lend_packages(machine.path("/"))
        write_release(machine.path("/"), tmp_path_factory.mktemp("wheels"))
        site = Site(machine, stack, timeline, client, version)
        install(site)
        yield site
    timeline.step("The container is gone")


def install(site: Site) -> None:
    """Both workers, as docs/operations.md says."""
    timeline, machine = site.timeline, site.machine
    timeline.say(f"install.sh train, exit code 78: {site.install('train', code=78)}")
    site.fill_in_settings()
    # A shorter watchdog, so that the test of it does not take minutes; all else is as shipped.
    drop_in = machine.path(_DROP_IN)
    drop_in.parent.mkdir()
    drop_in.write_text(f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}\n")
    machine.run("systemctl daemon-reload")
    settings = ", ".join(f"{name}={value}" for name, value in SHORTER.items())
    timeline.say(f"{SETTINGS} is filled in ({settings}); drop-in: WatchdogSec={WATCHDOG_SECONDS}")
    timeline.say(f"install.sh train: {site.install('train')}")
    timeline.say(f"install.sh export: {site.install('export')}")
