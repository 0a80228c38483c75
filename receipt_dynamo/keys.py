"""Every PK, SK and index key of the table, built and parsed here only.

The layouts follow the table of the contract. A key is a template over the record's own field names, so that
building and parsing cannot drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from string import Formatter
from types import MappingProxyType
from typing import Any, TypeAlias


class KeyTemplate:
    """A key such as `RECEIPT#{receipt_id:05d}#LINE#{line_id:05d}`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.fields = tuple(field for _, field, _, _ in Formatter().parse(text) if field)

    @property
    def lead(self) -> str:
        """The text before the first field."""
        return self.text.partition("{")[0]

    def build(self, **fields: Any) -> str:
        """Return the key of these fields."""
        return self.text.format_map(fields)

    def parse(self, key: str) -> dict[str, str | int]:
        """Return the fields of a key; raise `ValueError` naming the expected form."""
        match = self._pattern.fullmatch(key)
        if match is None:
            raise ValueError(f"must look like {self.text!r}, not {key!r}")
        return {
            name: int(text) if name in self._numbers else text for name, text in match.groupdict().items()
        }

    def fits(self, key: str) -> bool:
        """Return whether a key has this form."""
        return self._pattern.fullmatch(key) is not None

    @cached_property
    def _numbers(self) -> frozenset[str]:
        return frozenset(
            field for _, field, spec, _ in Formatter().parse(self.text) if field and spec == "05d"
        )

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Greedy text: of METRIC#a#b#time the name is `a#b`, because a time holds no '#'.
        parts = []
        for literal, field, _, _ in Formatter().parse(self.text):
            form = r"\d{5}" if field in self._numbers else ".+"
            parts.append(re.escape(literal) + (f"(?P<{field}>{form})" if field else ""))
        return re.compile("".join(parts), re.ASCII)


Layout: TypeAlias = Mapping[str, KeyTemplate]

JOB_PK = KeyTemplate("JOB#{job_id}")
JOB_SK = KeyTemplate("JOB")
JOB_STATUS = KeyTemplate("STATUS#{status}")
JOB_NAME = KeyTemplate("JOB_NAME#{name}")
METRIC_NAME = KeyTemplate("METRIC#{metric_name}")
EXPORT_PK = KeyTemplate("COREML_EXPORT#{export_id}")
EXPORT_SK = KeyTemplate("EXPORT")
EXPORT_STATUS = KeyTemplate("COREML_EXPORT_STATUS#{status}")
IMAGE_PK = KeyTemplate("IMAGE#{image_id}")
RECEIPT_SK = KeyTemplate("RECEIPT#{receipt_id:05d}")
VALIDATION_STATUS = KeyTemplate("VALIDATION_STATUS#{validation_status}")
LEASE_PK = KeyTemplate("{owner_type}#{owner_id}")
LEASE_SK = KeyTemplate("LEASE")
LEASE_STATE = KeyTemplate("LEASE#{state}")
RUN_NAME_PK = KeyTemplate("RUN_NAME#{name}")
RUN_NAME_SK = KeyTemplate("RUN_NAME")

# What a range key begins with, for queries of one kind out of a mixed partition.
CREATED_PREFIX = "CREATED#"
METRIC_PREFIX = "METRIC#"
LOG_PREFIX = "LOG#"
STATUS_PREFIX = "STATUS#"
CHECKPOINT_PREFIX = "CHECKPOINT#"
EXPORT_PREFIX = "COREML_EXPORT#"
RECEIPT_PREFIX = "RECEIPT#"
METRICS_OF_NAME = KeyTemplate("METRIC#{metric_name}#")
LINES_OF_RECEIPT = KeyTemplate("RECEIPT#{receipt_id:05d}#LINE#")

LEASE_OWNER_TYPES: Mapping[str, str] = MappingProxyType({"train": "JOB", "export": "COREML_EXPORT"})

_RECEIPT = "IMAGE#{image_id}#RECEIPT#{receipt_id:05d}"
_LINE = "RECEIPT#{receipt_id:05d}#LINE#{line_id:05d}"
_WORD = _LINE + "#WORD#{word_id:05d}"

LABEL_SK = KeyTemplate(_WORD + "#LABEL#{label}")


def _layout(**templates: str) -> Layout:
    return MappingProxyType({name: KeyTemplate(text) for name, text in templates.items()})


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "JOB": _layout(
            PK=JOB_PK.text,
            SK=JOB_SK.text,
            GSI1PK=JOB_STATUS.text,
            GSI1SK=CREATED_PREFIX + "{created_at}",
            GSI2PK=JOB_NAME.text,
            GSI2SK=CREATED_PREFIX + "{created_at}",
        ),
        "JOB_METRIC": _layout(
            PK=JOB_PK.text,
            SK="METRIC#{metric_name}#{timestamp}",
            GSI1PK=METRIC_NAME.text,
            GSI1SK="{timestamp}",
            GSI2PK=METRIC_NAME.text,
            GSI2SK="JOB#{job_id}#{timestamp}",
        ),
        "JOB_LOG": _layout(
            PK=JOB_PK.text, SK="LOG#{timestamp}", GSI1PK="LOG", GSI1SK="JOB#{job_id}#{timestamp}"
        ),
        "JOB_STATUS": _layout(
            PK=JOB_PK.text, SK="STATUS#{updated_at}", GSI1PK=JOB_STATUS.text, GSI1SK="UPDATED#{updated_at}"
        ),
        "JOB_CHECKPOINT": _layout(
            PK=JOB_PK.text,
            SK="CHECKPOINT#{timestamp}",
            GSI1PK="CHECKPOINT",
            GSI1SK="JOB#{job_id}#{timestamp}",
        ),
        "COREML_EXPORT": _layout(
            PK=EXPORT_PK.text,
            SK=EXPORT_SK.text,
            GSI1PK=JOB_PK.text,
            GSI1SK=EXPORT_PK.text,
            GSI2PK=EXPORT_STATUS.text,
            GSI2SK=EXPORT_PK.text,
        ),
        "JOB_LEASE": _layout(
            PK=LEASE_PK.text, SK=LEASE_SK.text, GSI1PK=LEASE_STATE.text, GSI1SK="{expires_at}"
        ),
        "RUN_NAME": _layout(PK=RUN_NAME_PK.text, SK=RUN_NAME_SK.text),
        "IMAGE": _layout(
            PK=IMAGE_PK.text,
            SK="IMAGE",
            GSI1PK=IMAGE_PK.text,
            GSI1SK="IMAGE",
            GSI2PK=IMAGE_PK.text,
            GSI2SK="IMAGE",
            GSI3PK="IMAGE#{image_type}",
            GSI3SK="NUM_RECEIPTS#{receipt_count:05d}",
        ),
        "RECEIPT": _layout(
            PK=IMAGE_PK.text,
            SK=RECEIPT_SK.text,
            GSI1PK=IMAGE_PK.text,
            GSI1SK=RECEIPT_SK.text,
            GSI2PK="RECEIPT",
            GSI2SK=_RECEIPT,
            GSI4PK=_RECEIPT,
            GSI4SK="0_RECEIPT",
        ),
        "RECEIPT_LINE": _layout(
            PK=IMAGE_PK.text,
            SK=_LINE,
            GSI1PK="EMBEDDING_STATUS#{embedding_status}",
            GSI1SK="LINE#IMAGE#{image_id}#" + _LINE,
            GSI3PK=_RECEIPT,
            GSI3SK="LINE",
            GSI4PK=_RECEIPT,
            GSI4SK="2_LINE#{line_id:05d}",
        ),
        "RECEIPT_WORD": _layout(
            PK=IMAGE_PK.text,
            SK=_WORD,
            GSI1PK="EMBEDDING_STATUS#{embedding_status}",
            GSI1SK="WORD#IMAGE#{image_id}#" + _WORD,
            GSI2PK="RECEIPT",
            GSI2SK="IMAGE#{image_id}#" + _WORD,
            GSI3PK=_RECEIPT,
            GSI3SK="WORD",
            GSI4PK=_RECEIPT,
            GSI4SK="3_WORD#{line_id:05d}#{word_id:05d}",
        ),
        "RECEIPT_WORD_LABEL": _layout(
            PK=IMAGE_PK.text,
            SK=LABEL_SK.text,
            GSI1PK="LABEL#{label:_<34}",  # 40 characters with its prefix
            GSI1SK="IMAGE#{image_id}#" + _WORD,
            GSI2PK="RECEIPT",
            GSI2SK="IMAGE#{image_id}#" + _WORD,
            GSI3PK=VALIDATION_STATUS.text,
            GSI3SK="IMAGE#{image_id}#" + LABEL_SK.text,
            GSI4PK=_RECEIPT,
            GSI4SK="4_LABEL#{line_id:05d}#{word_id:05d}#{label}",
        ),
        "OCR_JOB": _layout(
            PK=IMAGE_PK.text,
            SK="OCR_JOB#{job_id}",
            GSI1PK="OCR_JOB_STATUS#{status}",
            GSI1SK="OCR_JOB#{job_id}",
            GSI2PK="OCR_JOB_STATUS#{status}",
            GSI2SK="OCR_JOB#{job_id}",
        ),
        "OCR_ROUTING_DECISION": _layout(
            PK=IMAGE_PK.text,
            SK="ROUTING#{job_id}",
            GSI1PK="OCR_ROUTING_DECISION_STATUS#{status}",
            GSI1SK="ROUTING#{job_id}",
        ),
    }
)


def lease_pk(kind: str, owner_id: str) -> str:
    """Return the partition of the record that a lease stands beside."""
    return LEASE_PK.build(owner_type=LEASE_OWNER_TYPES[kind], owner_id=owner_id)
