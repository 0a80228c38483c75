"""How hard the bodies are fuzzed: a little each time, and for long with `make soak`."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("soak", max_examples=20_000, deadline=None)
if profile := os.environ.get("HYPOTHESIS_PROFILE"):
    settings.load_profile(profile)
