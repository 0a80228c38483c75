"""The deployment as Pulumi would make it: the real program, with a recorder in the place of the engine."""

from __future__ import annotations

import importlib
import json
import runpy
import subprocess
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import pulumi
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks

ROOT = Path(__file__).parent.parent.parent
INFRA = ROOT / "infra"
BUCKET = "layoutlm-test-runs"
CONFIGURATION = {
    "aws:region": "us-east-1",
    "receipt-layoutlm:bucket": BUCKET,
    "receipt-layoutlm:vpc": "vpc-1",
    "receipt-layoutlm:subnets": json.dumps(["subnet-1", "subnet-2"]),
    "receipt-layoutlm:version": "0.1.0",
    "receipt-layoutlm:exporters": json.dumps(["arn:aws:iam::123456789012:user/mac"]),
    "receipt-layoutlm:max_spot_hosts": "3",
    "receipt-layoutlm:alarm_topic": "arn:aws:sns:us-east-1:123456789012:alarms",
}
ARNS = {
    "s3": "arn:aws:s3:::{name}",
    "iam": "arn:aws:iam::123456789012:role/{name}",
    "dynamodb": "arn:aws:dynamodb:us-east-1:123456789012:table/{name}",
}
OTHER_ARN = "arn:aws:{service}:us-east-1:123456789012:{name}"
PROVIDER_MODULES = ("autoscaling", "cloudwatch", "dynamodb", "ec2", "ecr", "iam", "lambda_", "s3", "sqs")


@dataclass(frozen=True, slots=True)
class Made:
    """One resource as the program asks for it."""

    kind: str
    name: str
    inputs: dict[str, Any]


class Recorder(Mocks):
    """Says yes to everything, and remembers it; ARNs look like AWS's."""

    def __init__(self) -> None:
        self.made: list[Made] = []

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made.append(Made(args.typ, args.name, args.inputs))
        name = args.inputs.get("name") or args.inputs.get("bucket") or args.name
        service = args.typ.split("/")[0].removeprefix("aws:")
        answer = {
            "name": name,
            "arn": ARNS.get(service, OTHER_ARN).format(service=service, name=name),
            "url": f"https://{service}/{name}",
        }
        return f"{args.name}-id", {**answer, **args.inputs}

    def call(self, args: MockCallArgs) -> NoReturn:
        raise AssertionError(f"the program asks AWS for {args.token}")


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that the program makes."""

    made: list[Made]

    def all_of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The inputs of all resources of a kind, for example `sqs/queue:Queue`, by name."""
        found = {made.name: made.inputs for made in self.made if made.kind == f"aws:{kind}"}
        assert found, f"no {kind} is made"
        return found

    def one(self, kind: str) -> dict[str, Any]:
        (inputs,) = self.all_of(kind).values()
        return inputs

    def policy_of(self, role: str) -> list[dict[str, Any]]:
        document = json.loads(self.all_of("iam/rolePolicy:RolePolicy")[role]["policy"])
        statements: list[dict[str, Any]] = document["Statement"]
        return statements


def read_deployment() -> Deployment:
    """Run the program in a process of its own: Pulumi's engine, loop and threads are nobody else's then."""
    answer = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-m", __name__],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    return Deployment([Made(**made) for made in json.loads(answer.stdout)])


def main() -> None:
    """Run `infra/__main__.py` and print what it makes."""
    recorder = Recorder()
    pulumi.runtime.set_mocks(recorder, project="receipt-layoutlm", preview=False)
    pulumi.runtime.set_all_config(CONFIGURATION)
    with warnings.catch_warnings():
        # The provider warns of its own deprecated resources when a module of it is imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        for module in PROVIDER_MODULES:
            # Lazy: it is imported when it is looked at.
            getattr(importlib.import_module(f"pulumi_aws.{module}"), "outputs", None)
    until_all_is_made: Any = pulumi.runtime.test
    until_all_is_made(_program)()
    json.dump([asdict(made) for made in recorder.made], sys.stdout, default=str)


def _program() -> None:
    runpy.run_path(str(INFRA / "__main__.py"))


if __name__ == "__main__":
    main()
