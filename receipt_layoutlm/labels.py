"""The label vocabulary under the name by which notebooks and scripts import it.

Examples:
    >>> from receipt_layoutlm.labels import CORE_LABELS, MERGE_PRESETS
    >>> CORE_LABELS["TIP"]
    'Gratuity.'
    >>> MERGE_PRESETS["amounts"]
    {'AMOUNT': ('LINE_TOTAL', 'SUBTOTAL', 'TAX', 'GRAND_TOTAL')}
"""

from run_records.labels import CORE_LABELS, MERGE_PRESETS

__all__ = ["CORE_LABELS", "MERGE_PRESETS"]
