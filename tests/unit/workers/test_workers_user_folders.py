"""Work and run folders: whose they are by default, and whose are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.errors import SettingsError
from workers.health import Health
from workers.settings import Settings
from workers.telemetry.status_socket import read_statuses, status_served
from workers.user_folders import cache_folder, make_own_folder, run_folders

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")


def refuse(folder: Path, reason: str) -> None:
    wanted = f"{re.escape(str(folder))} {reason}.*Set LAYOUTLM_WORK_DIR to a folder of this user's own"
    with pytest.raises(SettingsError, match=wanted):
        make_own_folder(folder, "LAYOUTLM_WORK_DIR")


def test_a_folder_is_made_for_this_user_alone_and_taken_again(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        make_own_folder(folder, "LAYOUTLM_WORK_DIR")
        assert folder.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    refuse(folder, "belongs to user nobody, and this process runs as user root")


@as_root
def test_a_folder_in_one_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    refuse(tmp_path / "work", "can be exchanged by user nobody, to whom .* belongs")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    folder.chmod(mode)
    refuse(folder, rf"can be written by other users \(`chmod 700 {re.escape(str(folder))}` ends that\)")


def test_a_folder_that_others_may_only_read_is_taken(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_own_folder(tmp_path, "LAYOUTLM_WORK_DIR")


def test_a_symbolic_link_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    own, link = tmp_path / "own", tmp_path / "link"
    own.mkdir(mode=0o700)
    link.symlink_to(own)
    refuse(link, "is a symbolic link")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        make_own_folder(dangling, "LAYOUTLM_WORK_DIR")


def test_a_folder_that_everybody_can_exchange_is_refused_unless_the_sticky_bit_keeps_it(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o777)
    refuse(tmp_path / "work", "can be exchanged by every user")
    tmp_path.chmod(0o1777)
    make_own_folder(tmp_path / "work", "LAYOUTLM_WORK_DIR")


@pytest.mark.parametrize("spoil", [lambda path: path.chmod(0o777), lambda path: os.chown(path, NOBODY, -1)])
@as_root
async def test_no_worker_answers_in_a_run_folder_of_others(
    run_dir: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(run_dir)
    with pytest.raises(SettingsError, match="Set LAYOUTLM_RUN_DIR to a folder of this user's own"):
        async with status_served(Health(), "train", run_dir):
            pass


@as_root
def test_the_run_folder_of_another_user_is_not_read_even_if_it_may_be(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    with pytest.raises(SettingsError, match=r"belongs to another user\. Run this as the user of the workers"):
        read_statuses(run_dir)
    monkeypatch.undo()
    os.chown(run_dir, NOBODY, NOBODY)
    assert read_statuses(run_dir) == []  # root reads any


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "LAYOUTLM_WORK_DIR", "LAYOUTLM_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)  # who has no folder in /run/user
    return tmp_path


def test_by_default_both_folders_are_in_the_users_cache_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == home / ".cache" / "receipt-layoutlm"
    assert run_folders() == (cache_folder() / "run",)
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == home / "Library" / "Caches" / "receipt-layoutlm"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    assert cache_folder() == home / "cache" / "receipt-layoutlm"
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")  # the specification has a relative one ignored
    assert cache_folder() == home / "Library" / "Caches" / "receipt-layoutlm"


def test_a_user_without_a_home_has_a_folder_of_its_own_in_the_temporary_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr("tempfile.tempdir", str(home))
    assert cache_folder() == home / "receipt-layoutlm-4000000000"


def test_workers_of_a_login_are_found_from_cron_and_the_other_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.delenv("LAYOUTLM_RUN_DIR", raising=False)
    in_login = Settings.from_environ()
    assert in_login.run_dir == runtime / "receipt-layoutlm"
    assert in_login.status_folders[0] == in_login.run_dir
    assert in_login.status_folders[-1] == cache_folder() / "run"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert Settings.from_environ().run_dir in in_login.status_folders


@as_root
def test_a_runtime_folder_that_sudo_has_brought_along_is_not_taken(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # it belongs to root, and this is another user
    assert Settings.from_environ().status_folders == (home / ".cache" / "receipt-layoutlm" / "run",)


@as_root
def test_root_and_their_user_find_the_workers_of_the_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.user_folders.UNITS_RUN_FOLDER", tmp_path)
    os.chown(tmp_path, 1, 1)
    for user, finds in ((0, True), (1, True), (NOBODY, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert (tmp_path in run_folders()) is finds


def test_a_run_folder_that_is_set_is_the_only_one_that_is_read(tmp_path: Path) -> None:
    assert Settings.from_environ({"LAYOUTLM_RUN_DIR": str(tmp_path)}).status_folders == (tmp_path,)
