"""A disk that is full while coremltools converts: another attempt can mend it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from messages.child_protocol import ErrorClass
from tests.support.small_files import run_with_small_files

CODE = """
import json, sys
from pathlib import Path
from run_records.job_process.child_main import classify
from receipt_layoutlm.coreml.export import export_local

try:
    export_local(Path(sys.argv[1]), Path(sys.argv[2]))
except BaseException as error:
    print(json.dumps(classify(error)))
"""


@pytest.mark.parametrize("limit_bytes", [2_000, 100_000])
def test_a_full_disk_under_a_conversion_is_a_full_disk(
    trained: Path, tmp_path: Path, limit_bytes: int
) -> None:
    answer = run_with_small_files(
        "-W", "ignore", "-c", CODE, str(trained), str(tmp_path / "out"), limit_bytes=limit_bytes
    )
    error_class, sentence = json.loads(answer.stdout.splitlines()[-1])
    assert (error_class, sentence[:16]) == (ErrorClass.DISK, "The disk is full"), (sentence, answer.stderr)
    assert not (tmp_path / "out").exists()
