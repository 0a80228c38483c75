"""`layoutlm-cli infer` on a receipt of the table and on a file, with models from a folder, S3 and a job."""

from __future__ import annotations

import io
import json
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from layoutlm_cli.main import main
from messages.train import TrainJob
from receipt_dynamo.client import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.receipt_draft import DraftReceipt
from receipt_layoutlm.data.table_writer import image_id_of, receipt_of, write_records
from receipt_layoutlm.inference.label import label_receipt
from receipt_layoutlm.inference.predictors import CheckpointLabeller
from receipt_layoutlm.inference.receipt_json import LabelledReceipt
from tests.integration.cli.test_cli_commands import cli
from tests.support.learned import make_checkpoint
from workers.jobs.job_record import job_record
from workers.local_aws.local_stack import LocalStack

GREEN = (0, 120, 0)


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: str | int | None
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture(scope="module")
def draft() -> DraftReceipt:
    [made] = synthetic.generate(1, 0)
    return made


@pytest.fixture(scope="module")
def checkpoint(draft: DraftReceipt, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("fresh"), [receipt_of(draft)])


@pytest.fixture(scope="module")
def expected(draft: DraftReceipt, checkpoint: Path) -> LabelledReceipt:
    return label_receipt(CheckpointLabeller.open(checkpoint), receipt_of(draft))


@pytest.fixture
def client(stack: LocalStack, draft: DraftReceipt, monkeypatch: pytest.MonkeyPatch) -> DynamoClient:
    """The table, with the one receipt in it; commands find it by their settings."""
    for name, value in stack.environ.items():
        monkeypatch.setenv(name, value)
    table = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(table, [draft])
    return table


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command within this process, which has torch already."""

    def infer(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["layoutlm-cli", "infer", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return Answer(ended.value.code, shown.out, shown.err)

    return infer


def write_file(folder: Path, draft: DraftReceipt) -> Path:
    """The receipt as OCR's pixels."""
    document = {
        "origin": "top-left",
        "size": {"width": draft.width, "height": draft.height},
        "words": [{"text": word.text, "box": word.box} for word in draft.words],
    }
    path = folder / "receipt.json"
    path.write_text(json.dumps(document))
    return path


def test_the_best_checkpoint_of_a_job_labels_a_receipt_of_the_table(
    stack: LocalStack, client: DynamoClient, draft: DraftReceipt, checkpoint: Path, expected: LabelledReceipt
) -> None:
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    for path in checkpoint.iterdir():
        stack.client("s3").upload_file(str(path), bucket, f"runs/a-run/best/{path.name}")
    job = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": "a-run"})
    client.add_job(job_record(job, stack.settings.runs / "a-run/", status="succeeded"))
    client.merge_job_results(job.job_id, {"best_checkpoint_s3_path": f"s3://{bucket}/runs/a-run/best/"})
    answer = cli(stack, "infer", image_id_of(draft), "1", "--job", "a-run", "--json", OMP_NUM_THREADS="1")
    assert answer.returncode == 0, answer.stderr
    said = LabelledReceipt.model_validate_json(answer.stdout)
    assert [word.tag for word in said.words] == [word.tag for word in expected.words]
    assert said.entities
    assert len(said.words) == len(list(draft.words))


def test_entities_are_shown_as_a_table_and_a_file_gives_the_same_as_the_table(
    run: Run,
    client: DynamoClient,
    draft: DraftReceipt,
    checkpoint: Path,
    expected: LabelledReceipt,
    tmp_path: Path,
) -> None:
    answer = run(image_id_of(draft), "1", "--checkpoint", checkpoint)
    assert answer.code == 0, answer.err
    assert f"{image_id_of(draft)} 1: {len(expected.entities)} entities" in answer.out
    assert all(entity.label in answer.out for entity in expected.entities)
    from_file = run(write_file(tmp_path, draft), "--checkpoint", checkpoint, "--json")
    assert from_file.code == 0, from_file.err
    said = LabelledReceipt.model_validate_json(from_file.out)
    assert [word.tag for word in said.words] == [word.tag for word in expected.words]
    assert [entity.text for entity in said.entities] == [entity.text for entity in expected.entities]


def test_plain_decoding_shows_the_clients_tags(
    run: Run, draft: DraftReceipt, checkpoint: Path, expected: LabelledReceipt, tmp_path: Path
) -> None:
    answer = run(write_file(tmp_path, draft), "--checkpoint", checkpoint, "--decoding", "plain", "--json")
    said = LabelledReceipt.model_validate_json(answer.out)
    assert [word.tag for word in said.words] == [word.clients_tag or word.tag for word in expected.words]
    assert any(word.clients_tag for word in expected.words)
    assert not any(word.clients_tag for word in said.words)


def test_a_receipt_without_a_picture_is_drawn_on_a_white_page(
    run: Run, client: DynamoClient, draft: DraftReceipt, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    answer = run(image_id_of(draft), "1", "--checkpoint", checkpoint, "--draw", out)
    assert answer.code == 0, answer.err
    assert "drawn on a white page: the receipt has no picture" in answer.err
    with Image.open(out) as picture:
        width, height = picture.size
        assert height == pytest.approx(1000 * draft.height / draft.width, abs=1)
        assert width > 1000


def test_a_receipts_picture_is_drawn_upon_where_its_bucket_may_be_read(
    run: Run,
    stack: LocalStack,
    client: DynamoClient,
    draft: DraftReceipt,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = f"pictures-{uuid.uuid4().hex}"
    stack.client("s3").create_bucket(Bucket=bucket)
    body = io.BytesIO()
    Image.new("RGB", (50, 120), GREEN).save(body, "PNG")
    stack.client("s3").put_object(Bucket=bucket, Key="a.png", Body=body.getvalue())
    record = client.get_receipt_details(image_id_of(draft), 1).receipt
    client.update_receipt(replace(record, raw_s3_bucket=bucket, raw_s3_key="a.png"))
    out = tmp_path / "out.png"
    arguments = (image_id_of(draft), "1", "--checkpoint", checkpoint, "--draw", out)
    refused = run(*arguments)
    assert refused.code == 0
    assert f"s3://{bucket}/a.png is not allowed" in refused.err
    monkeypatch.setenv("LAYOUTLM_ALLOWED_BUCKETS", bucket)
    allowed = run(*arguments)
    assert "white page" not in allowed.err
    with Image.open(out) as picture:
        assert picture.height == 2400
        assert picture.getpixel((5, 2395)) == GREEN


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ((), 2, "one of --checkpoint, --bundle"),
        (("--checkpoint", "a", "--bundle", "b"), 2, "one of --checkpoint, --bundle"),
        (("--checkpoint", "a", "--draw", "out.jpg"), 2, "must be a .png"),
        (("--checkpoint", "a", "--draw", "gone/out.png"), 78, "in a folder that exists"),
        (("--checkpoint", "gone"), 65, "There is no folder gone"),
        (("--bundle", "gone"), 65, "There is no bundle gone"),
        (("--bundle", "s3://elsewhere/x/"), 65, "s3://elsewhere/x/ is not allowed"),
        (("--checkpoint", "s3://elsewhere/x/"), 65, "s3://elsewhere/x/ is not allowed"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_clear_error(
    run: Run, draft: DraftReceipt, tmp_path: Path, arguments: tuple[str, ...], code: int, why: str
) -> None:
    answer = run(write_file(tmp_path, draft), *arguments)
    assert answer.code == code, answer.err
    assert why in " ".join(answer.err.replace("│", " ").split())
    assert answer.out == ""


@pytest.mark.parametrize(
    ("receipt", "why"),
    [
        ("gone.json", "gone.json cannot be read"),
        ("2c1ab1a4-0f0b-4c55-9a61-7d8f3c1b2e40", "the image id and the receipt id"),
    ],
)
def test_a_file_that_is_not_there_is_one_clear_error(
    run: Run, checkpoint: Path, receipt: str, why: str
) -> None:
    answer = run(receipt, "--checkpoint", checkpoint)
    assert (answer.code, answer.out) == (65, "")
    assert why in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_receipt_or_a_job_that_the_table_does_not_have_is_one_clear_error(
    run: Run, client: DynamoClient, draft: DraftReceipt, checkpoint: Path
) -> None:
    no_receipt = run(image_id_of(draft), "2", "--checkpoint", checkpoint)
    no_image = run("no-uuid", "1", "--checkpoint", checkpoint)
    no_job = run(image_id_of(draft), "1", "--job", "nobody")
    assert (no_receipt.code, no_image.code, no_job.code) == (75, 75, 75)
    assert "no-uuid" in no_image.err
    assert "Receipt 2 of image" in no_receipt.err
    assert "There is no job with the id or the name nobody" in no_job.err


def test_a_job_without_a_model_says_what_to_do(
    run: Run, stack: LocalStack, client: DynamoClient, draft: DraftReceipt
) -> None:
    job = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": "young"})
    client.add_job(job_record(job, stack.settings.runs / "young/", status="running"))
    answer = run(image_id_of(draft), "1", "--job", "young")
    assert answer.code == 65
    assert "Job young (running) has no best checkpoint yet" in answer.err


def test_without_pillow_drawing_is_refused_before_anything_is_fetched(
    run: Run, draft: DraftReceipt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    answer = run(write_file(tmp_path, draft), "--checkpoint", "gone", "--draw", tmp_path / "out.png")
    assert answer.code == 65
    assert "Install receipt-layoutlm[draw]" in answer.err
