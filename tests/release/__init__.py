"""Every service released to other code under load: `make release-tests`."""
