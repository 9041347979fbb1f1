"""Resource bundles: named sizes of containers (§11)."""
