"""Any text gives a message or `InvalidMessage`, never anything else."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from messages import InvalidMessage, TrainJob, decode_export_job, decode_train_job
from messages.export import ExportJob
from messages.hyperparameters import Hyperparameters

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
known_names = st.sampled_from(
    [*TrainJob.model_fields, *ExportJob.model_fields, *Hyperparameters.model_fields]
)
bodies = st.dictionaries(known_names | st.text(max_size=12), json_values, max_size=8)
hyperparameters = st.dictionaries(
    st.sampled_from(list(Hyperparameters.model_fields)), json_values, max_size=6
)


def decode_both(body: str) -> None:
    with suppress(InvalidMessage):
        assert decode_train_job(body, message_id="m").job_id
    with suppress(InvalidMessage):
        assert decode_export_job(body, message_id="m").export_id


@given(st.text())
def test_any_text_decodes_or_is_refused(body: str) -> None:
    decode_both(body)


@given(bodies)
def test_any_object_of_known_fields_decodes_or_is_refused(body: dict[str, object]) -> None:
    decode_both(json.dumps(body))


@given(hyperparameters)
def test_any_hyperparameters_decode_or_are_refused(values: dict[str, object]) -> None:
    decode_both(json.dumps({"job_name": "a", "hyperparameters": values}))


@given(st.binary())
def test_any_bytes_decode_or_are_refused(body: bytes) -> None:
    with suppress(InvalidMessage):
        decode_train_job(body, message_id="m")
