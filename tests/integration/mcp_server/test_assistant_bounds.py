"""No answer of a tool is longer than its bound; one that is cut says how to get the rest."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mcp import Client
from mcp_types import TextContent

from layoutlm_cli.mcp_server.analysis_tools import AnalysisTools
from layoutlm_cli.mcp_server.answers import Answer, DiagnosisAnswer, RunAnswer
from layoutlm_cli.mcp_server.bounds import ANSWER_CHARS
from layoutlm_cli.mcp_server.dataset_tools import DatasetTools
from layoutlm_cli.mcp_server.run_tools import RunTools
from layoutlm_cli.mcp_server.server import make_server
from layoutlm_cli.open_clients import Clients
from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import JobLog, JobStatus
from receipt_dynamo.operations.records import adding_many
from receipt_dynamo.requests.records import job_key
from receipt_dynamo.skipped import NAMED
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from run_analysis.runs import RunSummary
from run_records.s3_store import S3Store
from tests.support.damage import damage, damaged, put_items, stored_items
from tests.support.many_runs import seed_runs
from tests.support.records import job_maker, metrics, minute
from tests.support.runs import make_detail, make_predictions
from tests.support.stored_runs import store_run
from workers.local_aws.local_stack import LocalStack

RUNS = 120
LIVE = 6
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LONG = "x" * 3000
OPTIONS: dict[str, Any] = {
    "label_merges": {f"MERGED_{n}": [f"LABEL_{n}_{k}" for k in range(9)] for n in range(40)}
}


@pytest.fixture(scope="module", autouse=True)
def _recorded(stack: LocalStack) -> None:
    """A long history of which much is long, six runs under way with long histories of their own, receipts."""
    client, storage = reach(stack)
    seed_runs(client, storage, RUNS, epochs=3)
    make = job_maker(client, stack)
    for number in range(30):
        job = make(f"wordy-{number:02d}", "failed", at=number, options=OPTIONS)
        client.update_job_status(job.job_id, "failed", attempt=1, attributes={"error_message": LONG})
        damage(stack, job_key(job.job_id), tags={"M": {f"tag-{n}": {"S": LONG[:200]} for n in range(40)}})
    for number in range(LIVE):
        live = make(f"live-{number}", "running", at=100 + number, options={**OPTIONS, "epochs": 200})
        label = {"f1": 0.5, "precision": 0.5, "recall": 0.5, "support": 3}
        for epoch in range(1, 81):
            values: dict[str, Any] = {
                "val_f1": 0.5,
                "eval_loss": 0.4,
                **{f"label_L{n}": label for n in range(6)},
            }
            client.add_job_metrics(metrics(live, epoch, 101 + number + epoch / 100, **values))
        for line in range(5):
            log = JobLog(job_id=live.job_id, timestamp=minute(300 + line), log_level="INFO", message=LONG * 8)
            client.add_job_log(log)
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    labels = [f"LABEL_{n}" for n in range(60)]
    for number in range(10):
        large = make_detail(400, labels, seed=number, name=f"large-{number}", bucket=bucket, **OPTIONS)
        store_run(client, storage, large, make_predictions(large, receipts=60, words=400))
    statuses = [
        JobStatus(job_id=large.run.job_id, status="running", updated_at=minute(n), message=LONG)
        for n in range(300)
    ]
    client.run(adding_many(JobStatus)(client.table_name, statuses))
    write_records(client, synthetic.generate(3, 1))


def reach(stack: LocalStack) -> tuple[DynamoClient, S3Store]:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    return client, S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("training_history", {}),
    ("training_history", {"limit": 100}),
    ("training_history", {"limit": 100, "status": "failed"}),
    ("live_runs", {}),
    ("live_runs", {"limit": 50}),
    ("run_detail", {"job": "large-9"}),
    (
        "run_detail",
        {"job": "large-9", "metrics": ["per_label_metrics", "confusion", "by_merchant", "eval_f1"]},
    ),
    ("run_detail", {"job": "wordy-00"}),
    ("run_detail", {"job": "live-0"}),
    ("failing_receipts", {"job": "large-9", "receipts": 50, "words": 100}),
    ("compare_runs", {"jobs": [f"large-{number}" for number in range(10)]}),
    ("compare_runs", {"jobs": ["wordy-00", "wordy-01", "live-0"]}),
    ("compare_groups", {"by": "learning_rate"}),
    ("compare_groups", {"by": "label_merges"}),
    ("compare_groups", {"by": "sweep"}),
    ("diagnose_run", {"job": "large-9"}),
    ("recommend_next_run", {"job": "large-9", "faster": True}),
    ("recommend_next_run", {"job": "wordy-00"}),
    ("dataset_statistics", {}),
    ("run_detail", {"job": LONG * 20}),
]


async def ask(stack: LocalStack, tool: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    server = make_server(Clients(*reach(stack)), stack.settings, allow_submit=False)
    async with Client(server) as client:
        answer = await client.call_tool(tool, arguments)
    [content] = answer.content
    assert isinstance(content, TextContent)
    return content.text, answer.structured_content or {}


@pytest.mark.parametrize(
    ("tool", "arguments"), CALLS, ids=[f"{n}-{tool}" for n, (tool, _) in enumerate(CALLS)]
)
async def test_no_answer_is_longer_than_the_bound(
    stack: LocalStack, tool: str, arguments: dict[str, Any]
) -> None:
    text, _ = await ask(stack, tool, arguments)
    assert len(text) <= ANSWER_CHARS


def pages(stack: LocalStack) -> Iterator[dict[str, Any]]:
    tools, cursor = RunTools(*reach(stack)), None
    while True:
        answer = tools.training_history(limit=100, before=cursor).model_dump(mode="json")
        yield answer
        cursor = answer.get("cursor")
        if cursor is None:
            return


def test_the_pages_of_the_history_show_every_run_once_and_say_how_to_go_on(stack: LocalStack) -> None:
    client, _ = reach(stack)
    found = list(pages(stack))
    ids = [run["job_id"] for page in found for run in page["runs"]]
    ids += [named for page in found for named in UUID.findall(page.get("more", ""))]  # all of one moment
    every = {job.job_id for job in client.list_jobs().items}
    assert (len(ids), set(ids)) == (len(every), every)
    assert all("pass `cursor` as `before`" in page["more"] for page in found[:-1])
    assert len(found) < 12


def test_a_summary_is_short_and_the_run_itself_is_whole(stack: LocalStack) -> None:
    tools = RunTools(*reach(stack))
    [(shown, more)] = [
        (run, page["more"]) for page in pages(stack) for run in page["runs"] if run["name"] == "wordy-00"
    ]
    assert (len(shown["error_message"]), len(shown["tags"])) == (160, 12)
    assert len(shown["config"]["label_merges"]) == 160
    assert "run_detail shows a run whole" in more
    whole = tools.run_detail("wordy-00").run
    assert (whole.error_message, len(whole.tags)) == (LONG, 40)


def test_live_runs_are_six_summaries_that_fit(stack: LocalStack) -> None:
    tools = RunTools(*reach(stack))
    answer = tools.live_runs(limit=50)
    shown = [run.run.name for run in answer.runs if run.run.name.startswith("live-")]
    assert len(shown) == LIVE
    assert all(len(line.message) <= 200 for run in answer.runs for line in run.logs)
    one = answer.model_copy(update={"runs": answer.runs[:LIVE]}).model_dump_json()
    assert len(one) < 12_000
    assert all(run_id in str(answer.more) for run_id in ids_of_others(stack, answer.runs))


def ids_of_others(stack: LocalStack, shown: Any) -> set[str]:
    client, _ = reach(stack)
    under_way = client.list_newest_jobs(("running", "interrupted", "pending"), 50).items
    return {job.job_id for job in under_way} - {run.run.job_id for run in shown}


def test_receipts_that_do_not_fit_come_with_skip(stack: LocalStack) -> None:
    tools, found, skip = RunTools(*reach(stack)), [], 0
    while True:
        answer = tools.failing_receipts("large-9", receipts=50, words=100, skip=skip)
        found += [receipt.key for receipt in answer.receipts]
        skip = len(found)
        if not answer.receipts_left_out:
            break
        assert f"pass skip {skip}" in str(answer.more)
    assert len(found) == len(set(found)) == 60


class Anything(Answer):
    things: Any = None


_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
_TREES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=60
)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=_TREES, times=st.integers(1, 4000))
def test_whatever_an_answer_holds_it_fits_and_what_is_cut_is_said(tree: Any, times: int) -> None:
    answer = Anything(things=[{"value": tree, "text": LONG}] * times)
    text = json.dumps(answer.model_dump(mode="json"), indent=2, ensure_ascii=False)
    assert len(text) <= ANSWER_CHARS
    assert times < 8 or re.search(r"Cut: .*things", text)


def test_what_fits_is_not_touched_and_has_no_more() -> None:
    run = RunSummary(job_id="1", name="n" * 3000, status="running", created_at="2026")
    shown = RunAnswer(run=run, evaluations=0).model_dump(mode="json")
    assert shown["run"]["name"] == "n" * 3000
    assert "more" not in shown
    assert "more" not in DiagnosisAnswer(job_id="1", name="n", status="s", evaluations=1).model_dump()


AMONG_DAMAGED: list[tuple[str, dict[str, Any]]] = [
    ("training_history", {}),
    ("run_detail", {"job": "run-0"}),
    ("live_runs", {}),
    ("failing_receipts", {"job": "run-0"}),
    ("compare_runs", {"jobs": ["run-0", "run-1"]}),
    ("compare_groups", {"by": "learning_rate"}),
    ("diagnose_run", {"job": "run-0"}),
    ("recommend_next_run", {}),
    ("dataset_statistics", {}),
]


def two_runs(stack: LocalStack) -> DynamoClient:
    client, storage = reach(stack)
    for number in range(2):
        bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
        detail = make_detail(3, seed=number, name=f"run-{number}", bucket=bucket)
        store_run(client, storage, detail, make_predictions(detail))
    return client


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(draw=st.data())
async def test_every_tool_answers_among_damaged_items_and_says_what_it_leaves_out(
    emulator: Any, draw: Any
) -> None:
    stack = LocalStack.make(emulator, suffix=f"-{uuid.uuid4().hex[:8]}")
    client = two_runs(stack)
    broken = job_maker(client, stack)("broken", at=5)
    running = job_maker(client, stack)("running", "running", at=6)
    client.add_job_metrics(metrics(running, 1, 7, val_f1=0.5))
    write_records(client, synthetic.generate(2, 1))
    put_items(stack, *draw.draw(damaged(stored_items(stack), least=40, most=80)))
    await judge_all(stack, broken.job_id)


async def judge_all(stack: LocalStack, whole: str) -> None:
    """Every tool answers; one that reads the jobs counts the job that is damaged now beside the others."""
    before = left_out((await ask(stack, "training_history", {}))[1])
    damage(stack, job_key(whole), tags={"SS": ["a"]})
    for tool, arguments in AMONG_DAMAGED:
        text, shown = await ask(stack, tool, arguments)
        assert shown, text
        assert len(text) <= ANSWER_CHARS
        if tool == "training_history":
            assert left_out(shown) == before + 1
            assert before >= NAMED or f"JOB#{whole}" in shown["records_left_out"]


def left_out(shown: dict[str, Any]) -> int:
    """How many items an answer says that it leaves out; only the first of them have names."""
    counted = re.match(r"(\d+) items? of the table", shown.get("records_left_out", ""))
    return int(counted[1]) if counted else 0


async def test_a_damaged_job_is_counted_where_more_are_left_out_than_have_names(emulator: Any) -> None:
    stack = LocalStack.make(emulator, suffix=f"-{uuid.uuid4().hex[:8]}")
    client = two_runs(stack)
    make = job_maker(client, stack)
    whole = make("whole", at=5)
    for number in range(NAMED):
        damage(stack, job_key(make(f"newer-{number}", at=6 + number).job_id), tags={"SS": ["a"]})
    await judge_all(stack, whole.job_id)
    assert left_out((await ask(stack, "training_history", {}))[1]) == NAMED + 1


def test_the_tools_of_this_test_are_all(stack: LocalStack) -> None:
    client, storage = reach(stack)
    tools = (RunTools(client, storage), AnalysisTools(client, storage, DatasetTools(client)))
    offered = {name for one in tools for name in vars(type(one)) if not name.startswith("_")}
    offered -= {"client", "storage", "dataset"}
    assert offered | {"dataset_statistics"} == {tool for tool, _ in CALLS}
