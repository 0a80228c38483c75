"""Several processes train one model: what each takes of a batch, and that the model is the same."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.child_protocol import ChildExit, Progress, Trained, TrainTask, parse_report
from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import steady_seconds
from receipt_layoutlm.checkpoint import save_tokenizer
from receipt_layoutlm.data.examples import IGNORED
from receipt_layoutlm.training.distributed import AgreedStop, Ranks
from receipt_layoutlm.training.run import train
from receipt_layoutlm.training.scratch import SIZES, build_model, train_tokenizer
from receipt_layoutlm.training.speed.batches import PAGES, LengthBatches, TrainingCollator
from run_records.job_process.child_main import Reporter, StopRequested
from run_records.s3_store import S3Store
from tests.support.small_receipts import make_receipts
from tests.support.small_trainings import MakeTask, StopAfter, read_json
from tests.unit.training.test_training_distributed_launch import ending
from workers.local_aws.local_stack import LocalStack

QUIET, GO_ON = Reporter(None), StopRequested()
NOISE = 1e-4
"""Sums in another order: float32 keeps seven digits, and a few steps lose some of them."""
LENGTHS = st.lists(st.integers(3, 512), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 20), st.none() | st.integers(64, 4096), st.integers(1, 9), st.integers(0, 3))
def test_the_shares_of_all_processes_are_the_batches_of_one(
    lengths: list[int], windows: int, tokens: int | None, count: int, epoch: int
) -> None:
    def batches(ranks: Ranks) -> list[list[int]]:
        return list(LengthBatches(lengths, windows, tokens, 7, lambda: epoch, ranks.share))

    alone = batches(Ranks())
    shared = [batches(Ranks(rank, count)) for rank in range(count)]
    assert {len(one) for one in shared} == {len(alone)}  # all take part in every step
    for whole, *parts in zip(alone, *shared, strict=True):
        assert sorted(chain.from_iterable(parts)) == sorted(whole)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(LENGTHS, st.integers(1, 20), st.integers(1, 5), st.integers(1, 9))
def test_the_passes_of_a_batch_are_the_batch(
    lengths: list[int], windows: int, parts: int, count: int
) -> None:
    def batches(ranks: Ranks, parts: int = 1) -> LengthBatches:
        return LengthBatches(lengths, windows, None, 7, lambda: 0, ranks.share, parts)

    shared = [list(batches(Ranks(rank, count), parts)) for rank in range(count)]
    alone = list(batches(Ranks()))
    assert {len(one) for one in shared} == {len(batches(Ranks(), parts))} == {parts * len(alone)}
    for number, whole in enumerate(alone):
        passes = [one[number * parts : (number + 1) * parts] for one in shared]
        assert sorted(chain.from_iterable(chain.from_iterable(passes))) == sorted(whole)
        assert max(len(part) for one in passes for part in one) <= math.ceil(windows / (parts * count)) + 1


@pytest.mark.parametrize("row_tokens", [None, 24])
def test_who_has_no_part_in_a_batch_takes_a_step_that_teaches_nothing(row_tokens: int | None) -> None:
    batch = TrainingCollator(0, row_tokens)([])
    assert batch["labels"].eq(IGNORED).all()
    assert batch["attention_mask"].sum() == 1
    assert len(batch[PAGES]) == 0


def test_a_process_alone_agrees_with_itself() -> None:
    stop = AgreedStop(StopAfter(0), Ranks())
    assert not stop
    stop.agree()
    assert stop
    assert Ranks().from_first(lambda: 5) == 5
    Ranks().require_same("anything", object())


@contextmanager
def trained_by_two(stack: LocalStack, task: TrainTask, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    job_file = folder / f"job-{task.job.job_name}.json"
    job_file.write_text(task.model_dump_json(), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "receipt_layoutlm.training", str(job_file)],
        env=stack.child_environ(OMP_NUM_THREADS="1", LOCAL_WORLD_SIZE="2", GLOO_SOCKET_IFNAME="lo"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(f"{steady_seconds() + 600:.3f}\n".encode())
    process.stdin.flush()
    try:
        yield process
    finally:
        process.kill()
        process.stdin.close()
        assert process.stdout is not None
        process.stdout.close()
        process.wait()


@pytest.fixture
def plain_model(storage: S3Store, bucket: str, tmp_path: Path) -> str:
    """A tiny model that drops nothing: what two processes drop out is not what one does."""
    words = {word.text for receipt in make_receipts(20) for word in receipt.words}
    size = replace(SIZES["tiny"], dropout=0.0)
    tokenizer = train_tokenizer(words, size)
    folder = tmp_path / "plain"
    build_model(size, len(tokenizer), seed=3, num_labels=3).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    for path in folder.iterdir():
        storage.upload_file(path, f"s3://{bucket}/models/plain/{path.name}")
    return f"s3://{bucket}/models/plain/"


def learned(storage: S3Store, task: TrainTask) -> list[dict[str, Any]]:
    run = read_json(storage, f"{task.run_s3_uri}run.json")
    kept = ("epoch", "global_step", "eval_f1", "token_accuracy", "eval_loss", "train_loss", "grad_norm")
    return [{name: epoch[name] for name in kept} for epoch in run["epoch_metrics"]]


def assert_alike(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=NOISE)


def test_two_processes_learn_what_one_does_and_record_it_once(
    aws: LocalStack,
    make_task: MakeTask,
    storage: S3Store,
    client: DynamoClient,
    plain_model: str,
    tmp_path: Path,
) -> None:
    # 18 windows, 8 a batch: the last batch of an epoch has 2. The arithmetic is the same on any CPU.
    options = {"pretrained_model": plain_model, "precision": "float32", "epochs": 3}
    alone = make_task("alone", batch_size=8, **options)
    shared = make_task("shared", batch_size=4, **options)
    train(alone, QUIET, GO_ON)
    with trained_by_two(aws, shared, tmp_path) as process:
        code, reports = ending(process)
    assert code == ChildExit.DONE
    assert [type(one) for one in reports if not isinstance(one, Progress)] == [Trained]
    assert_alike(learned(storage, shared), learned(storage, alone))
    machine = read_json(storage, f"{shared.run_s3_uri}run.json")["machine"]
    assert (machine["world_size"], machine["batch_size"], machine["batch_size_per_device"]) == (2, 4, 4)
    assert machine["effective_batch"] == 8
    recorded = [
        (
            len(client.list_job_metrics(task.job.job_id).items),
            len(client.list_job_logs(task.job.job_id).items),
            len(client.list_job_checkpoints(task.job.job_id).items),
        )
        for task in (alone, shared)
    ]
    assert recorded[0] == recorded[1]
    assert min(recorded[0]) > 0


def test_a_signal_to_two_leads_to_one_checkpoint_from_which_one_goes_on(
    aws: LocalStack, make_task: MakeTask, storage: S3Store, plain_model: str, tmp_path: Path
) -> None:
    options = {
        "pretrained_model": plain_model,
        "batch_size": 1,
        "precision": "float32",
        "epochs": 10,
        "early_stopping_patience": 0,
    }
    whole, broken = make_task("whole", **{**options, "batch_size": 2}), make_task("broken", **options)
    with trained_by_two(aws, broken, tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            report = parse_report(line)
            if isinstance(report, Progress) and report.metrics:
                break
        process.send_signal(signal.SIGTERM)
        assert ending(process)[0] == ChildExit.STOPPED
    keys = storage.list_keys(f"{broken.run_s3_uri}checkpoints/")
    steps = {int(key.split("/")[0].removeprefix("checkpoint-")) for key in keys}
    done = learned(storage, broken)
    assert max(steps) > done[-1]["global_step"]
    assert len(steps) == len(done) + 1  # those of the epochs, and the one of the stop
    train(make_task("broken", attempt=2, **options), QUIET, GO_ON)
    train(whole, QUIET, GO_ON)
    assert learned(storage, broken)[: len(done)] == done
    machine = read_json(storage, f"{broken.run_s3_uri}run.json")["machine"]
    kept = ("world_size", "batch_size", "batch_size_per_device", "gradient_accumulation_steps")
    assert [machine[name] for name in kept] == [1, 1, 1, 2]
    assert machine["effective_batch"] == 2
    assert_alike(learned(storage, broken), learned(storage, whole))
