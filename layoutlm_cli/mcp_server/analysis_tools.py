"""Tools for comparison, findings and advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from layoutlm_cli.mcp_server.answers import AdviceAnswer, DiagnosisAnswer, GroupsAnswer, RunsAnswer
from layoutlm_cli.mcp_server.dataset_tools import DatasetTools
from layoutlm_cli.mcp_server.run_tools import Job
from receipt_dynamo import DynamoClient
from run_analysis.advice.advise import advise
from run_analysis.advice.proposal import Machine
from run_analysis.comparison.compare_groups import LeftOut, RunGroup, compare_groups
from run_analysis.comparison.compare_runs import compare_runs
from run_analysis.findings.find import detect_findings
from run_analysis.run import read_run
from run_analysis.runs import RECENT, list_runs
from run_records.s3_store import S3Store

_PAIRS = 20
_RUNS = 5

AcrossSplits = Annotated[
    bool, Field(description="Hold scores on different validation receipts against each other, too.")
]


@dataclass(frozen=True, slots=True)
class AnalysisTools:
    """The tools, for one table and S3."""

    client: DynamoClient
    storage: S3Store
    dataset: DatasetTools

    def compare_runs(
        self,
        jobs: Annotated[
            tuple[str, ...], Field(min_length=2, max_length=10, description="Ids or names of runs.")
        ],
        across_splits: AcrossSplits = False,
    ) -> RunsAnswer:
        """Put some runs side by side: settings that differ, scores, F1 of each label, and a ranking.

        Read `notes` before drawing a conclusion: they say what can be ranked and what may be chance.
        """
        read = (read_run(self.client, self.storage, job) for job in jobs)
        runs = list({one.run.job_id: one for one in read}.values())  # by name and by id it is one run
        return RunsAnswer(comparison=compare_runs(runs, across_splits=across_splits))

    def compare_groups(
        self,
        by: Annotated[
            str, Field(description="A hyperparameter, such as batch_size, or a tag that runs carry.")
        ],
        across_splits: AcrossSplits = False,
    ) -> GroupsAnswer:
        """Group the newest 500 succeeded runs by a setting: which value scores best, and may it be chance.

        Answers "what is the best batch size?" (by: batch_size) and the like. `groups` has the highest mean F1
        first; a value is better only where the `verdict` of its pair is "higher". Read `notes`, too.
        """
        runs = list_runs(self.client, statuses=("succeeded",), limit=RECENT).runs
        found = compare_groups(runs, by, across_splits=across_splits)
        shown = {
            "groups": tuple(map(_brief_group, found.groups)),
            "pairs": found.pairs[:_PAIRS],
            "left_out": tuple(map(_brief_left_out, found.left_out)),
        }
        left = len(found.pairs[_PAIRS:])
        return GroupsAnswer(
            comparison=found.model_copy(update=shown),
            pairs_left_out=left,
            more=f"{left} pairs more: `layoutlm-cli compare --group-by {by} --json`." if left else None,
        )

    def diagnose_run(self, job: Job) -> DiagnosisAnswer:
        """Find the faults of a run in its metrics: overfitting, a wrong learning rate, labels not learned.

        Answers "is it overfitting?". Each finding has its evidence and a remedy; what is not found has no
        evidence. A run that is under way can be diagnosed, too.
        """
        detail = read_run(self.client, self.storage, job)
        others = list_runs(self.client, statuses=("succeeded",), limit=RECENT).runs
        return DiagnosisAnswer(
            job_id=detail.run.job_id,
            name=detail.run.name,
            status=detail.run.status,
            evaluations=len(detail.epochs),
            findings=detect_findings(detail, others),
        )

    def recommend_next_run(
        self,
        job: Annotated[
            str | None, Field(description="Run to start from, id or name; the newest that succeeded.")
        ] = None,
        target_f1: Annotated[
            float | None, Field(gt=0, lt=1, description="An F1, to learn how many receipts it takes.")
        ] = None,
        faster: Annotated[bool, Field(description="Propose also what only makes it faster.")] = False,
        with_data: Annotated[
            bool,
            Field(description="Look at the labels of all receipts, too: reads the whole table at times."),
        ] = True,
    ) -> AdviceAnswer:
        """Propose the next run: each changed option with its reason, a command, and a message for the queue.

        Answers "what should we train next?", "can we make it faster?" (faster: true) and "how many receipts
        for an F1 of 0.9?" (target_f1). It proposes only; nothing is started.
        """
        history = list_runs(self.client, limit=RECENT).runs
        chosen = job or next((one.job_id for one in history if one.status == "succeeded"), None)
        detail = read_run(self.client, self.storage, chosen) if chosen else None
        machine = Machine.lenient(detail.machine) if detail and detail.machine else None
        statistics = self.dataset.read().statistics if with_data else None
        found = advise(detail, history, statistics, machine, target_f1=target_f1, faster=faster)
        return AdviceAnswer(advice=found)


def _brief_group(group: RunGroup) -> RunGroup:
    return group.model_copy(update={"runs": group.runs[:_RUNS]})


def _brief_left_out(left_out: LeftOut) -> LeftOut:
    return left_out.model_copy(update={"runs": left_out.runs[:_RUNS]})
