"""JSON Schema and an example body of each kind, generated from the models: `python -m messages.schemas`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from messages.codec import encode
from messages.export import ExportJob, ExportResult
from messages.fields import Message, derive_id
from messages.train import TrainJob, TrainResult

FOLDER = Path(__file__).parent
_JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
_EXPORT_ID = "11111111-2222-4333-8444-555555555555"
_RUN = "s3://layoutlm-training/runs/layoutlm-my-experiment/"
_BUNDLE = "s3://layoutlm-training/coreml/layoutlm-my-experiment/"

EXAMPLES: dict[str, Message] = {
    "train_job": TrainJob.model_validate(
        {
            "job_id": _JOB_ID,
            "job_name": "layoutlm-my-experiment",
            "hyperparameters": {
                "epochs": "10",
                "batch_size": "8",
                "learning_rate": "5e-5",
                "warmup_ratio": "0.1",
                "early_stopping_patience": "2",
                "merge_amounts": "true",
            },
        }
    ),
    "train_result": TrainResult(
        result_id=derive_id("train-result", _JOB_ID),
        job_id=_JOB_ID,
        job_name="layoutlm-my-experiment",
        status="succeeded",
        attempt=1,
        run_s3_uri=_RUN,
        best_checkpoint_s3_uri=f"{_RUN}best/",
        best_f1=0.7021,
        best_epoch=3,
        train_runtime=3847.5,
        export_id=_EXPORT_ID,
    ),
    "export_job": ExportJob(
        export_id=_EXPORT_ID,
        job_id=_JOB_ID,
        model_s3_uri=f"{_RUN}best/",
        quantize="float16",
        output_s3_prefix=_BUNDLE,
    ),
    "export_result": ExportResult(
        result_id=derive_id("export-result", _EXPORT_ID),
        export_id=_EXPORT_ID,
        job_id=_JOB_ID,
        status="SUCCEEDED",
        attempt=1,
        mlpackage_s3_uri=f"{_BUNDLE}LayoutLM.mlpackage",
        bundle_s3_uri=_BUNDLE,
        canonical_bundle_s3_uri="s3://layoutlm-training/coreml/layoutlm-coreml-bundle.zip",
        canonical_bundle_etag="d41d8cd98f00b204e9800998ecf8427e",
        model_size_bytes=225_000_000,
        export_duration_seconds=61.25,
    ),
}


def documents() -> dict[str, str]:
    """File names of this folder with the text that they should have."""
    made = {}
    for name, example in EXAMPLES.items():
        made[f"{name}.schema.json"] = _text(type(example).model_json_schema())
        made[f"{name}.example.json"] = _text(json.loads(encode(example)))
    return made


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
