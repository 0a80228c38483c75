"""`recover`: requeue orphaned jobs, as idle workers do by themselves."""

from __future__ import annotations

import asyncio


def recover() -> None:
    """Put jobs that nobody works on back on their queues, and send results that were decided and not sent."""
    from layoutlm_cli.console import console  # noqa: PLC0415
    from workers.operator.recover import recover_jobs  # noqa: PLC0415
    from workers.settings import Settings  # noqa: PLC0415
    from workers.telemetry.logs import configure_logging  # noqa: PLC0415

    configure_logging()
    settings = Settings.from_environ()
    trainings = asyncio.run(recover_jobs(settings, "train"))
    exports = asyncio.run(recover_jobs(settings, "export"))
    console.print(f"trainings brought back: {trainings}, exports: {exports}")
