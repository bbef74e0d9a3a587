"""What tests of every folder share."""

from hypothesis import HealthCheck, settings

# No test may fail because the machine is busy.
settings.register_profile("halong", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("halong")

pytest_plugins = ["tests.kafka", "tests.postgres"]
