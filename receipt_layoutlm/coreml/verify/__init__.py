"""The gates that a saved package has to pass before it leaves the machine."""

from receipt_layoutlm.coreml.verify.package import verify_package
from receipt_layoutlm.coreml.verify.record import Gate, Number, Verification

__all__ = ["Gate", "Number", "Verification", "verify_package"]
