"""How hard the suite attacks: some seconds in `make test`; `HYPOTHESIS_PROFILE=fuzz` tries many more examples."""

import os

from hypothesis import HealthCheck, settings

# A slow machine is not a finding. The tests themselves bound what must be fast, with a wide margin.
_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("seconds", max_examples=60, **_CALM)
settings.register_profile("fuzz", max_examples=5_000, **_CALM)

IS_FUZZ = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "seconds"))
"""For `@settings(PROFILE)`: loaded for these tests only, so that other tests keep their own budget."""
