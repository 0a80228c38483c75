"""Runs a saved package without Apple's runtime: the whole program, operation by operation, in torch."""

from receipt_layoutlm.coreml.evaluator.mac import MacProgram, load_on_mac
from receipt_layoutlm.coreml.evaluator.program import Operation, Program, load_program
from receipt_layoutlm.coreml.evaluator.saved_package import (
    SavedPackage,
    constants,
    load_function,
    read_package,
)

__all__ = [
    "MacProgram",
    "Operation",
    "Program",
    "SavedPackage",
    "constants",
    "load_function",
    "load_on_mac",
    "load_program",
    "read_package",
]
