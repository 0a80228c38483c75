"""The gates that a saved package has to pass before it leaves the machine."""

from receipt_layoutlm.coreml.verify.gates import verify_package
from receipt_layoutlm.coreml.verify.verification_json import Gate, Number, Verification

__all__ = ["Gate", "Number", "Verification", "verify_package"]
