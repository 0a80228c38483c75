"""Queue messages, and the documents of the pipe between a daemon and its child process.

The package imports nothing of this repository and no AWS library: any sender can use it to check a body.
"""

from messages.codec import decode_export_job, decode_train_job, encode
from messages.errors import Fault, InvalidMessage
from messages.export import ExportJob, ExportResult
from messages.hyperparameters import Hyperparameters
from messages.train import TrainJob, TrainResult

__all__ = [
    "ExportJob",
    "ExportResult",
    "Fault",
    "Hyperparameters",
    "InvalidMessage",
    "TrainJob",
    "TrainResult",
    "decode_export_job",
    "decode_train_job",
    "encode",
]
