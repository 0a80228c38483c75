"""Reports of runs that lie in the table and in S3, as a file and beside the run, and the command for both."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from layoutlm_cli.main import app
from receipt_dynamo import DynamoClient
from receipt_dynamo.errors import NotFound
from run_analysis.report.build import report_of, write_report
from run_analysis.run import read_run
from run_records.errors import ConfigurationError
from run_records.s3_store import S3Store
from tests.support.pages import Page
from tests.support.runs import make_detail, make_predictions
from tests.support.stored_runs import store_run
from workers.local_aws.local_stack import LocalStack


@pytest.fixture
def client(stack: LocalStack) -> DynamoClient:
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))


@pytest.fixture
def storage(stack: LocalStack) -> S3Store:
    return S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))


@pytest.fixture
def stored(stack: LocalStack, client: DynamoClient, storage: S3Store) -> str:
    """The folder of a run named receipts-a."""
    detail = make_detail(3, bucket=stack.environ["LAYOUTLM_TRAINING_BUCKET"])
    store_run(client, storage, detail, make_predictions(detail, receipts=2))
    return detail.run.run_s3_uri or ""


def publish_report(client: DynamoClient, storage: S3Store, job: str) -> str:
    """What `report --publish` does with a run."""
    detail = read_run(client, storage, job)
    return write_report(storage, detail, report_of(storage, detail))


def test_a_published_report_lies_beside_run_json_as_html(
    stack: LocalStack, client: DynamoClient, storage: S3Store, stored: str
) -> None:
    uri = publish_report(client, storage, "receipts-a")
    assert uri == f"{stored}report.html"
    place = storage.place(uri)
    answer = stack.client("s3").get_object(Bucket=place.bucket, Key=place.key)
    assert answer["ContentType"] == "text/html; charset=utf-8"
    page = Page(answer["Body"].read().decode())
    assert page.all("h1")[0].text == "receipts-a succeeded"
    assert len(page.tables["Evaluations; losses in nats"]) == 4
    assert len([one for one in page.all("svg") if "role" in one.attributes]) == 2
    assert page.tables["CoreML exports"][1][1] == "SUCCEEDED"


def test_what_is_found_out_about_a_run_stands_in_its_published_report(
    stack: LocalStack, client: DynamoClient, storage: S3Store
) -> None:
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    # Such a learning rate does not learn: the losses stay where they were.
    detail = make_detail(8, bucket=bucket, name="stuck", learning_rate=1e-9)
    flat = tuple(
        one.model_copy(update={"train_loss": 2.0, "eval_loss": 2.0, "eval_f1": 0.0}) for one in detail.epochs
    )
    store_run(client, storage, detail.model_copy(update={"epochs": flat}))
    body = storage.read(publish_report(client, storage, "stuck")) or b""
    assert Page(body.decode()).all("section")


def test_a_run_that_does_not_exist_has_no_report(client: DynamoClient, storage: S3Store) -> None:
    with pytest.raises(NotFound):
        publish_report(client, storage, "no-such-run")


def test_a_run_without_a_place_is_told_apart_from_a_failure_of_s3(storage: S3Store) -> None:
    detail = make_detail(1)
    lost = detail.model_copy(update={"run": detail.run.model_copy(update={"run_s3_uri": None})})
    with pytest.raises(ConfigurationError, match="Write it to a file instead"):
        write_report(storage, lost, "")


def test_the_command_writes_a_file_of_the_runs_name(
    stack: LocalStack, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["report", "receipts-a"], env=stack.environ, catch_exceptions=False)
    assert answer.output == "wrote report-receipts-a.html\n"
    page = Page((tmp_path / "report-receipts-a.html").read_text(encoding="utf-8"))
    assert page.all("h1")[0].text == "receipts-a succeeded"


def test_the_command_publishes_and_opens_what_it_wrote(
    stack: LocalStack, storage: S3Store, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_url(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_url)
    out = tmp_path / "a run.html"
    arguments = ["report", "receipts-a", "--out", str(out), "--publish", "--open"]
    answer = CliRunner().invoke(app, arguments, env=stack.environ, catch_exceptions=False)
    assert answer.output == f"wrote {out}\nwrote {stored}report.html\n"
    assert storage.read(f"{stored}report.html") == out.read_bytes()
    assert opened == [out.as_uri()]
