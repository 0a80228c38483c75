"""The sandbox of the units: each act that it forbids is refused within it and allowed outside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.boot import probes
from tests.boot.installed import Site
from tests.support.units import KINDS, read_unit

PROOF = {
    "ProtectSystem": [
        "write below /usr",
        "write below /etc",
        "write below /opt",
        "write below /srv",
        "write below /var",
    ],
    "ProtectHome": ["read a home", "read root's home"],
    "PrivateTmp": ["see the host's /tmp", "see the host's /var/tmp"],
    "PrivateUsers": ["see whose a stranger's file is"],
    "ProtectProc": ["see other processes"],
    "DevicePolicy": ["open a device"],
    "PrivateDevices": ["open a device"],
    "NoNewPrivileges": ["run a setuid program as root"],
    "RestrictSUIDSGID": ["make a file setuid"],
    "UMask": ["make a file that others read"],
    "RestrictNamespaces": ["make a user namespace"],
    "LockPersonality": ["change the personality"],
    "RestrictAddressFamilies": ["open a socket of another family"],
    "SystemCallFilter": ["trace a process"],
    "LimitCORE": ["dump core"],
    "CapabilityBoundingSet": ["root: change an owner"],
    "ProtectControlGroups": ["root: make a control group"],
    "ProtectHostname": ["root: set the host's name"],
}
"""The acts that each setting forbids; another may forbid them as well. Those of root show that the sandbox
holds whoever runs in it."""
NOT_TRIED = {
    "ProtectClock": "the container forbids it to everybody",
    "ProtectKernelLogs": "the container forbids it to everybody",
    "ProtectKernelModules": "the container forbids it to everybody",
    "ProtectKernelTunables": "the container forbids it to everybody",
    "RestrictRealtime": "a control group may have no real time to give",
    "SystemCallArchitectures": "there is no program of another architecture here",
    "SystemCallErrorNumber": "it is the EPERM of the refusals",
    "KeyringMode": "no program here keeps a key",
    "RemoveIPC": "no program here leaves shared memory",
    "AmbientCapabilities": "it gives nothing; what is refused without capabilities shows it",
    "ProcSubset": "it is open; see what is needed",
    "MemoryDenyWriteExecute": "it is open; see what is needed",
}
"""Settings of the sandbox without a proof here, and why."""
FIRST, LAST = "ProtectSystem", "UMask"
STAGE = """
for folder in /usr/open /etc/open /opt/open /srv/open /var/lib/open /home/somebody; do
    mkdir -p $folder && chmod 0777 $folder
done
chmod 0755 /root
for file in /home/somebody/secret /root/secret /tmp/of-the-host /var/tmp/of-the-host /srv/strange; do
    echo x > $file && chmod 0666 $file
done
chown 4242 /srv/strange
cp /usr/bin/id /srv/id-of-root && chmod 4755 /srv/id-of-root
test -e /dev/probe || mknod -m 0666 /dev/probe c 10 229
"""
"""Things that any user of a host may touch, as far as their modes say. The device is /dev/fuse's."""
_ACT = """
[Service]
Type=oneshot
Restart=no
WatchdogSec=0
TimeoutStartSec=60
{user}
ExecStartPre=
ExecStart=
ExecStart=/usr/bin/python3 /usr/local/lib/probes.py
CacheDirectory=
CacheDirectory=layoutlm-probe
RuntimeDirectory=
RuntimeDirectory=layoutlm-probe
StandardOutput=truncate:/run/probed.json
"""


def probe(site: Site, kind: str, runs: str, user: str) -> dict[str, str]:
    """Run all acts as the unit does, or with nothing of the unit but its user; returns what came of each."""
    machine, name = site.machine, f"probe-{kind}-{runs}-{user}"
    machine.path("/usr/local/lib/probes.py").write_text(Path(probes.__file__).read_text())
    installed = machine.path(f"/etc/systemd/system/layoutlm-{kind}-worker.service").read_text()
    folder = machine.path(f"/etc/systemd/system/{name}.service.d")
    folder.mkdir(exist_ok=True)
    folder.with_suffix("").write_text(installed if runs == "unit" else "[Service]\n")
    (folder / "act.conf").write_text(_ACT.format(user=f"User={user}"))
    machine.run(f"systemctl daemon-reload && systemctl start {name}", timeout=90)
    found: dict[str, str] = json.loads(machine.path("/run/probed.json").read_text())
    return found


def come_of(site: Site, kind: str, runs: str) -> dict[str, str]:
    """All acts, each as its user."""
    of_root = probe(site, kind, runs, "root")
    own = probe(site, kind, runs, "receipt-layoutlm")
    return {act: of_root[act] if act.startswith("root:") else came for act, came in own.items()}


@pytest.mark.boot
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_unit_forbids_is_forbidden_by_the_unit_alone(site: Site, kind: str) -> None:
    site.timeline.step(f"What layoutlm-{kind}-worker.service forbids: without the unit, and within")
    site.machine.run(STAGE)
    bare, unit = (come_of(site, kind, runs) for runs in ("bare", "unit"))
    forbidden = [act for act in bare if not act.startswith("needed:")]
    settings = {act: [setting for setting, acts in PROOF.items() if act in acts] for act in forbidden}
    for act in forbidden:
        proven = ", ".join(name for name in settings[act] if name in read_unit(kind))
        site.timeline.say(f"{act:34}{bare[act]:9}{unit[act]:14}{proven}")
    assert {act: bare[act] for act in forbidden} == dict.fromkeys(forbidden, "allowed")
    assert [act for act in forbidden if unit[act] == "allowed"] == []
    needed = {act: came for act, came in unit.items() if act.startswith("needed:")}
    assert needed == dict.fromkeys(needed, "allowed")


@pytest.mark.parametrize("kind", KINDS)
def test_each_setting_of_a_sandbox_is_tried_or_it_is_known_why_not(kind: str) -> None:
    settings = list(read_unit(kind))
    sandbox = settings[settings.index(FIRST) : settings.index(LAST) + 1]
    assert set(sandbox) <= set(PROOF) | set(NOT_TRIED)
    assert set(PROOF) | set(NOT_TRIED) <= {key for each in KINDS for key in read_unit(each)}
    assert {act for acts in PROOF.values() for act in acts} == {
        act for act in probes.ACTS if not act.startswith("needed:")
    }


@pytest.mark.boot
def test_the_running_daemon_has_no_privileges(site: Site) -> None:
    site.timeline.step("The running daemon, as the kernel sees it")
    status = site.machine.run(f"cat /proc/{site.main_pid()}/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    told = {name: facts[name].strip() for name in ("NoNewPrivs", "Seccomp", "CapEff", "CapBnd")}
    site.timeline.say(", ".join(f"{name} {value}" for name, value in told.items()))
    assert told == {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0" * 16, "CapBnd": "0" * 16}
