"""Generated from proto/concord/v1 by `make proto`; do not edit."""
