"""Why a model errs: each receipt and word that it got wrong, and the failure modes they are evidence of."""
