"""A worker under systemd: what befalls it, and that its training goes on every time."""

from __future__ import annotations

import json
import time

import pytest

from tests.boot.conftest import WATCHDOG_SECONDS
from tests.boot.installed import TRAINING_SECONDS, UNIT, Site
from tests.boot.timeline import wait_for
from tests.support.units import PROGRAM, read_unit, seconds

pytestmark = pytest.mark.boot

TRAIN = read_unit("train")
RESTART_SECONDS = seconds(TRAIN, "RestartSec")
STOP_SECONDS = seconds(TRAIN, "TimeoutStopSec")
MEMORY_MAX = "220M"
"""More than a daemon takes, less than a child does."""


def wait_for_restart(site: Site, restarts: int, within: float) -> None:
    wait_for("a start by systemd", lambda: site.restarts() == restarts + 1, within=within)
    wait_for("a worker that polls", lambda: is_active(site), within=60)
    site.timeline.say(f"systemd has started it again; process {site.main_pid()} polls")


def is_active(site: Site) -> bool:
    return site.machine.show(UNIT, "ActiveState")["ActiveState"] == "active"


def test_a_training_sent_by_the_aws_cli_succeeds(site: Site) -> None:
    site.timeline.step("A training")
    site.send("first")
    assert site.wait_until_succeeded("first").attempt == 1


def test_a_killed_daemon_is_started_again_and_its_training_goes_on(site: Site) -> None:
    site.timeline.step("SIGKILL of the daemon")
    step, restarts, pid = site.train_until_checkpoint("killed"), site.restarts(), site.main_pid()
    site.machine.run(f"systemctl kill --kill-who=main --signal=KILL {UNIT}")
    site.timeline.say(f"systemctl kill --kill-who=main --signal=KILL: process {pid}")
    wait_for_restart(site, restarts, RESTART_SECONDS + 30)
    assert site.main_pid() != pid
    assert site.wait_until_succeeded("killed").attempt == 2
    site.went_on_after("killed", step)


def test_the_watchdog_ends_a_frozen_daemon(site: Site) -> None:
    site.timeline.step("The watchdog, and a frozen daemon")
    step, restarts = site.train_until_checkpoint("frozen"), site.restarts()
    # Its child as well, which would come to the training's end on a fast host.
    site.machine.run(f"systemctl kill --kill-who=all --signal=STOP {UNIT}")
    frozen_at = time.monotonic()
    site.timeline.say("systemctl kill --kill-who=all --signal=STOP")
    result = wait_for(
        "the watchdog",
        lambda: site.machine.show(UNIT, "Result")["Result"] == "watchdog",
        within=WATCHDOG_SECONDS + 20,
    )
    assert result
    site.timeline.say(f"Result=watchdog, {time.monotonic() - frozen_at:.0f} s after it froze")
    assert time.monotonic() - frozen_at > WATCHDOG_SECONDS / 2
    wait_for_restart(site, restarts, RESTART_SECONDS + 30)
    assert site.wait_until_succeeded("frozen").attempt == 2
    site.went_on_after("frozen", step)


def test_a_stop_in_mid_training_leaves_a_checkpoint_and_a_visible_message(site: Site) -> None:
    site.timeline.step("systemctl stop in mid-training")
    site.train_until_checkpoint("stopped")
    began = time.monotonic()
    site.machine.run(f"systemctl stop {UNIT}", timeout=STOP_SECONDS + 10)
    took, visible, kept = time.monotonic() - began, site.visible(), site.steps_kept("stopped")
    unit = site.machine.show(UNIT, "ActiveState", "Result", "ExecMainStatus", "NRestarts")
    job = site.job("stopped")
    site.timeline.say(
        f"systemctl stop: {took:.1f} s, exit code {unit['ExecMainStatus']}, Result={unit['Result']}; "
        f"job {job and job.status}, checkpoint-{kept}, {visible} message visible"
    )
    assert (unit["ActiveState"], unit["Result"], unit["ExecMainStatus"]) == ("inactive", "success", "0")
    assert took < STOP_SECONDS
    assert (job and job.status, visible) == ("interrupted", 1)
    site.machine.run(f"systemctl start {UNIT}", timeout=90)
    site.timeline.say("systemctl start")
    assert site.wait_until_succeeded("stopped").attempt == 2
    site.went_on_after("stopped", kept)


def test_a_training_goes_on_after_a_reboot(site: Site) -> None:
    site.timeline.step("A reboot in mid-training")
    step = site.train_until_checkpoint("rebooted")
    began = time.monotonic()
    site.machine.shut_down_to_reboot()
    down = time.monotonic()
    site.timeline.say(f"systemctl reboot: everything has ended after {down - began:.1f} s")
    assert site.visible() == 1
    site.machine.boot()
    site.timeline.say(f"boot to first poll: {time.monotonic() - down:.1f} s, without a hand")
    assert is_active(site)
    assert site.wait_until_succeeded("rebooted").attempt == 2
    site.went_on_after("rebooted", step)


def test_a_child_that_reaches_the_memory_limit_is_named_and_the_daemon_lives(site: Site) -> None:
    site.timeline.step("The memory limit")
    pid = site.main_pid()
    site.machine.run(f"systemctl set-property --runtime {UNIT} MemoryMax={MEMORY_MAX}")
    site.timeline.say(f"systemctl set-property --runtime {UNIT} MemoryMax={MEMORY_MAX}")
    try:
        site.send("squeezed")
        failure = wait_for(
            "a failed attempt", lambda: site.first_failure("squeezed"), within=TRAINING_SECONDS
        )
    finally:
        site.machine.run(f"systemctl set-property --runtime {UNIT} MemoryMax=infinity")
    site.timeline.say(f"attempt 1: {failure['error_class']}: {failure['message']}")
    assert failure["error_class"] == "memory"
    assert "The kernel killed the process for the host memory it took" in failure["message"]
    assert (site.main_pid(), is_active(site)) == (pid, True)
    site.timeline.say(f"the daemon lives: process {pid} as before; the limit is lifted")
    site.wait_until_succeeded("squeezed")


def test_the_journal_holds_json_and_jq_reads_it_as_documented(site: Site) -> None:
    site.timeline.step("The journal")
    events = site.machine.run(f"journalctl -t {UNIT} -o cat | jq .event")
    named = {json.loads(line) for line in events.splitlines()}
    site.timeline.say(f"journalctl -t {UNIT} -o cat | jq .event: {len(events.splitlines())} lines, all JSON")
    assert "worker ready" in named
    assert all(line["level"] and line["time"] for line in site.log())


def test_root_asks_how_both_workers_are(site: Site) -> None:
    site.timeline.step("worker-status")
    lines = site.machine.run(f"{PROGRAM} worker-status --json").splitlines()
    workers = {line["kind"]: line["fresh"] for line in map(json.loads, lines)}
    site.timeline.say(f"layoutlm-cli worker-status: {workers}")
    assert workers == {"train": True, "export": True}
