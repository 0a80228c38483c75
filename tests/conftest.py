"""Shared fixtures: emulated AWS over HTTP, one process per session, new resources for each test."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from workers.local_aws.local_stack import CREDENTIALS, REGION, LocalStack, MotoServer

# A loaded machine is no defect: neither one example nor the drawing of many has a limit of time.
settings.register_profile("test", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", parent=settings.get_profile("test"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))

# The console of the command line takes its width when it is first imported, by whichever test that is.
os.environ["COLUMNS"] = "300"

SHARED = Path(__file__).parent.parent.parent / "shared"
SROIE = SHARED / "data" / "sroie" / "train.jsonl"
CASES = SHARED / "cases"


# Files of few tests that take minutes. Begun last, one of them would leave the other core idle at the end.
_LONGEST = (
    "tests/e2e/",
    "tests/chaos/",
    "tests/integration/cli/",
    "tests/browser/",
    "tests/integration/sagemaker/",
)


# Minutes of trainings, conversions, and processes that import torch again and again; `make slow` runs them.
_SLOW = (
    "tests/e2e/test_exact_resume.py",
    "tests/integration/cli/test_cli_dlq.py",
    "tests/integration/coreml/test_coreml_publish.py",
    "tests/integration/training/test_training_child.py",
    "tests/integration/training/test_training_disk.py",
    "tests/integration/training/test_training_distributed.py",
    "tests/integration/training/test_training_hub_child.py",
    "tests/integration/training/test_training_loader_workers.py",
    "tests/integration/training/test_training_speed_runs.py",
    "tests/integration/workers/test_workers_bad_input.py",
    "tests/unit/coreml/test_coreml_disk.py",
    "tests/unit/coreml/test_coreml_reproducible.py",
    "tests/unit/coreml/test_coreml_spoilt_packages.py",
    "tests/unit/coreml/test_coreml_wrong_graphs.py",
    "tests/unit/inference/test_inference_clients.py",
    "tests/unit/training/test_training_ladder.py",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the files that `make test` leaves out."""
    if item.nodeid.startswith(_SLOW):
        item.add_marker("slow")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; within these and the others, the order stays as it was drawn."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


# What they cover of the packages that `make test` measures, others cover, too. Traced, they and
# their processes take half as long again, the schedules three times as long. `make coverage` measures
# all packages and sets the variable.
_TRACE_ALL = "TRACE_ALL_TESTS"
_UNTRACED = (
    "tests/e2e/",
    "tests/simulation/",
    "tests/browser/",
    "tests/infra/",
    *(
        f"tests/integration/{name}/"
        for name in ("coreml", "dashboard", "data", "mcp_server", "run_analysis", "sagemaker", "training")
    ),
    *(
        f"tests/unit/{name}/"
        for name in (
            "coreml",
            "data",
            "diagnosis",
            "evaluation",
            "inference",
            "run_analysis",
            "sagemaker",
            "training",
        )
    ),
)


@pytest.fixture(autouse=True)
def _trace_where_it_counts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tracer = sys.gettrace()
    if tracer is None or _TRACE_ALL in os.environ or not request.node.nodeid.startswith(_UNTRACED):
        yield
        return
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch, host_folder: Path) -> None:
    """No test sees settings, work or workers of whoever runs it, or asks outside this machine for any."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "DYNAMO_TABLE_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("LAYOUTLM_WORK_DIR", str(host_folder / "work"))
    monkeypatch.setenv("LAYOUTLM_RUN_DIR", str(host_folder / "run"))
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Undo what a test configures: its logger would write to a closed stream and hide lines from the next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def host_folder() -> Iterator[Path]:
    """Give workers of tests folders of their own, apart from the user's cache."""
    with tempfile.TemporaryDirectory(prefix="host-") as name:
        yield Path(name)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name, which pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="run-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def emulator() -> Iterator[MotoServer]:
    with MotoServer() as running:
        yield running


@pytest.fixture
def stack(emulator: MotoServer) -> LocalStack:
    return LocalStack.make(emulator, suffix=f"-{uuid.uuid4().hex[:8]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases the large tests went through and what they measured, as noted by `record_property`.

    Said here, because what a test prints under xdist is lost.
    """
    cases: Counter[str] = Counter()
    broken = set()
    measured = set()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            noted = {what: count for what, count in report.user_properties if isinstance(count, int)}
            cases.update(noted)
            measured |= {f"{what}: {said}" for what, said in report.user_properties if isinstance(said, str)}
            broken |= set(noted) if outcome == "failed" else set()
    for what, count in cases.items():
        verdict = "NOT all hold" if what in broken else "all hold"
        terminalreporter.write_line(f"{what}: {count:,} cases, {verdict}")
    for line in sorted(measured):
        terminalreporter.write_line(line)
