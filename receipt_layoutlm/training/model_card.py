"""The model card of the best checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from messages.hyperparameters import Hyperparameters
from run_analysis.markdown import table
from run_records.epoch_record import EpochRecord
from run_records.labels import OUTSIDE

CARD = "README.md"

_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_SCRATCH = "scratch:"
_MAIN_OPTIONS = ("epochs", "batch_size", "learning_rate", "seed", "example_unit")
_PLACES = ("_s3", "_s3_path", "_snapshot_load", "_snapshot_save")
_CONFUSIONS = 8
_TAGS = ("layoutlm", "receipts", "document-understanding", "named-entity-recognition")


def write_card(description: Mapping[str, Any], best: EpochRecord) -> str:
    """The card as Markdown with the front matter that the Hugging Face Hub reads.

    Args:
        description: what `run.json` says beside the epochs.
        best: the evaluation of the checkpoint.
    """
    sections = (
        _front_matter(description, best),
        _introduction(description),
        _scores(description, best),
        _data(description),
        _labels(description),
        _configuration(description),
        _USE,
    )
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _front_matter(description: Mapping[str, Any], best: EpochRecord) -> str:
    base = description["training_config"]["pretrained_model"]
    metrics = {"f1": best.eval_f1, "precision": best.eval_precision, "recall": best.eval_recall}
    dataset = {
        "name": "validation receipts of the run",
        "type": "receipts",
        "revision": description["split_metadata"]["val_receipts_hash"],
    }
    results = [
        {
            "task": {"type": "token-classification"},
            "dataset": dataset,
            "metrics": [{"type": name, "value": round(value, 4)} for name, value in metrics.items()],
        }
    ]
    fields: dict[str, Any] = {
        # The publisher chooses the licence: it depends on the initial model and on the receipts.
        "license": "other",
        "license_name": "undecided",
        **({"base_model": base} if _HUB_NAME.match(base) else {}),
        "library_name": "transformers",
        "pipeline_tag": "token-classification",
        "tags": list(_TAGS),
        "metrics": list(metrics),
        "model-index": [{"name": description["job_name"], "results": results}],
    }
    # JSON is YAML.
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in fields.items()), "---"])


def _introduction(description: Mapping[str, Any]) -> str:
    comparability = description["comparability"]
    warning = (
        ""
        if comparability["metrics_comparable"]
        else "\n\n> **The scores cannot be compared with those of other runs.** "
        f"{comparability['comparability_reason']}"
    )
    return (
        f"# {description['job_name']}\n\n"
        f"A LayoutLM that finds {len(description['resulting_labels'])} kinds of entities in the words of a "
        f"receipt, {_start(description['training_config']['pretrained_model'])}.{warning}"
    )


def _start(base: str) -> str:
    if base.startswith(_SCRATCH):
        return f"trained from scratch (size {base.removeprefix(_SCRATCH)})"
    return f"fine-tuned from {base}" if _HUB_NAME.match(base) else "trained on from another checkpoint"


def _scores(description: Mapping[str, Any], best: EpochRecord) -> str:
    split, interval = description["split_metadata"], best.eval_f1_interval
    around = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
    rows: list[tuple[Any, ...]] = [
        ("each word's own best tag", f"{best.eval_f1:.3f}{around}", best.eval_precision, best.eval_recall)
    ]
    if best.eval_f1_constrained is not None:
        constrained = (best.eval_precision_constrained, best.eval_recall_constrained)
        rows.append(("best sequence that BIO allows", f"{best.eval_f1_constrained:.3f}", *constrained))
    explained = (
        f"On {len(split['val_receipt_keys'])} validation receipts that the model has not learned from (hash "
        f"`{split['val_receipts_hash']}`), after {best.epoch:g} epochs and {best.global_step} steps: the "
        f"checkpoint with the best {description['training_config']['checkpoint_metric']}. Entities are "
        "counted as seqeval does; the interval holds 95 % of resamples of the receipts."
    )
    parts = [
        "## Scores",
        explained,
        table(("decoding", "F1", "precision", "recall"), rows),
        _other_scores(best),
    ]
    if best.by_merchant:
        parts.append(
            table(
                ("merchants", "receipts", "F1", "F1, BIO allowed", "entities"),
                (
                    (f"{name} in training", one.receipts, one.f1, one.f1_constrained, one.support)
                    for name, one in best.by_merchant.items()
                ),
            )
        )
    parts.append(_label_table(best))
    if confused := _confused(best):
        parts.append(table(("true label", "taken for", "words"), confused))
    return "\n\n".join(parts)


def _other_scores(best: EpochRecord) -> str:
    strict = (
        "" if best.eval_f1_strict is None else f"F1 in seqeval's strict mode: {best.eval_f1_strict:.3f}. "
    )
    return (
        f"{strict}Words with the right tag: {best.token_accuracy:.3f}. Words in an entity: "
        f"{best.entity_prediction_rate:.3f} as predicted, {best.gold_entity_rate:.3f} in truth."
    )


def _label_table(best: EpochRecord) -> str:
    rows: list[tuple[Any, ...]] = []
    for name, one in best.per_label_metrics.items():
        constrained = best.per_label_constrained.get(name)
        scores = (one.f1, one.precision, one.recall, constrained and constrained.f1)
        # Without an entity to find, a zero would look like a failure.
        rows.append((name, *(scores if one.support else (None,) * len(scores)), one.support))
    return table(("label", "F1", "precision", "recall", "F1, BIO allowed", "entities"), rows)


def _confused(best: EpochRecord) -> list[tuple[str, str, int]]:
    mistakes = [
        (true, said, count)
        for true, row in best.confusion.items()
        for said, count in row.items()
        if true != said
    ]
    ordered = sorted(mistakes, key=lambda one: (-one[2], one[0], one[1]))[:_CONFUSIONS]
    named = {OUTSIDE: "no label"}
    return [(named.get(true, true), named.get(said, said), count) for true, said, count in ordered]


def _data(description: Mapping[str, Any]) -> str:
    counts, split = description["dataset_counts"], description["split_metadata"]
    how = {
        True: "They are pinned: other runs with the same hash were scored on the same receipts.",
        False: description["comparability"]["comparability_reason"],
    }[description["comparability"]["metrics_comparable"]]
    return (
        f"## Data\n\n{counts['train_receipts']} receipts to learn from and {counts['val_receipts']} to score "
        f"on, content hash `{description['data_config']['dataset_hash']}`. The validation receipts have the "
        f"hash `{split['val_receipts_hash']}`. {how}"
    )


def _labels(description: Mapping[str, Any]) -> str:
    merged = "".join(
        f"\n- {target} stands for {', '.join(sources)}, too."
        for target, sources in sorted(description["label_merges"].items())
    )
    names = ", ".join(description["resulting_labels"])
    return f"## Labels\n\n{names}; each with `B-` for its first word and `I-` for the others.\n{merged}"


def _configuration(description: Mapping[str, Any]) -> str:
    options = description["training_config"]
    defaults = Hyperparameters().model_dump(mode="json")
    shown = [
        (f"`{name}`", f"`{json.dumps(options[name])}`")
        for name in sorted(options.keys() & defaults.keys())
        if not name.endswith(_PLACES)
        and name != "pretrained_model"
        and (name in _MAIN_OPTIONS or options[name] != defaults[name])
    ]
    shown.append(("arithmetic", str(options["resolved_precision"])))
    return (
        "## Configuration\n\nOptions that are not listed have their defaults; `run.json` has all of them.\n\n"
        + table(("option", "value"), shown)
    )


_USE = """
## Use

For words and boxes that OCR has read from a receipt, cropped and upright. `layoutlm_run.json` says how a
receipt becomes what the model reads: boxes, order, windows. `layoutlm-cli infer --checkpoint` does all of it.

## Limits

- Merchants that were not in training are read worse than those that were; see the table above.
- A label with few entities above has a score that means little.
- What the model says is no proof of a payment. Amounts have to be checked where money depends on them.
- Receipts may hold personal data; so may the vocabulary of a model that was trained from scratch on them.
"""
