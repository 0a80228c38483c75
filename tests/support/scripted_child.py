"""A real child process whose ending the request names: what the daemon sees of a training, without torch.

The script is the tag `script` of a train job, or the last folder of an export's checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from messages.child_protocol import ChildExit, ErrorClass, Exported, Failure, Progress, Trained
from run_records.job_process.lease_guard import watch_lease


def say(line: Progress | Trained | Exported | Failure) -> None:
    sys.stdout.write(line.model_dump_json() + "\n")
    sys.stdout.flush()


def fail(error_class: ErrorClass, message: str) -> int:
    say(Failure(error_class=error_class, message=message))
    return ChildExit.RETRY if error_class.retryable else ChildExit.PERMANENT


def succeed(task: dict[str, object], kept: str | None = None, converting: float = 1.5) -> int:
    if "training_job_id" in task:
        say(
            Exported(
                mlpackage_s3_uri="s3://bucket/coreml/x/LayoutLM.mlpackage",
                bundle_s3_uri="s3://bucket/coreml/x/",
                canonical_bundle_s3_uri="s3://bucket/coreml/layoutlm-coreml-bundle.zip",
                canonical_bundle_etag="abc",
                canonical_bundle_replaced=kept is None,
                canonical_bundle_kept=kept,
                model_size_bytes=12,
                peak_memory_bytes=1000,
                stage_seconds={"converting": converting},
            )
        )
    else:
        run = str(task["run_s3_uri"])
        best = f"{run}best/"
        results = {"best_f1": 0.75, "best_epoch": 2.0, "best_checkpoint_s3_path": best, "train_runtime": 1.5}
        say(Trained(run_s3_uri=run, best_checkpoint_s3_uri=best, results=results))
    return ChildExit.DONE


def hang(*, heed_sigterm: bool) -> int:
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    say(Progress(stage="training", epoch=1.0, metrics={"val_f1": 0.5}))
    while not (stop and heed_sigterm):
        time.sleep(0.02)
    return ChildExit.STOPPED


def play(script: str, task: dict[str, object]) -> int:  # noqa: C901, PLR0912 - one case a script
    match script.partition(":"):
        case "succeed", _, _:
            return succeed(task)
        case "kept", _, _:
            return succeed(task, kept="It holds a newer one.")
        case "odd", _, _:
            return succeed(task, converting=1e-200)
        case "fail", _, error_class:
            return fail(ErrorClass(error_class), f"scripted {error_class}")
        case "hang", _, _:
            return hang(heed_sigterm=True)
        case "stubborn", _, _:
            return hang(heed_sigterm=False)
        case "kill", _, _:
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit", _, code:
            sys.stderr.write("last words\n")
            return int(code)
        case "noise", _, _:
            sys.stdout.write("not a report\n" + "x" * 5_000_000 + "\n")
            return succeed(task)
        case "attempts", _, scripts:
            each = scripts.split(",")
            return play(each[min(int(str(task["attempt"])), len(each)) - 1], task)
        case "chatty", _, seconds:
            for _ in range(10):
                say(Progress(stage="training"))
                time.sleep(float(seconds) / 10)
            return succeed(task)
        case "odd progress", _, seconds:
            line = Progress(stage="training", metrics={"loss": 1e-200}).model_dump_json()
            for _ in range(10):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
                time.sleep(float(seconds) / 10)
            return succeed(task)
        case "odd results", _, _:
            run = str(task["run_s3_uri"])
            results = {"best_f1": 0.75, "total_flos": 1e-200, "curve": ["x" * 1000] * 500}
            say(Trained(run_s3_uri=run, best_checkpoint_s3_uri=f"{run}best/", results=results))
            return ChildExit.DONE
        case "late", _, _:
            time.sleep(2)
            return fail(ErrorClass.THROTTLED, "scripted throttled")
        case "slow", _, seconds:
            time.sleep(float(seconds))
            return succeed(task)
    raise SystemExit(f"no such script: {script}")


def main() -> int:
    watch_lease()
    task = json.loads(Path(sys.argv[1]).read_text())
    job = task["job"]
    script = job["tags"]["script"] if "tags" in job else job["model_s3_uri"].rstrip("/").rsplit("/", 1)[-1]
    return play(script, task)


if __name__ == "__main__":
    sys.exit(main())
