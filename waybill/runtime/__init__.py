"""Programs: settings, start and stop, Django's configuration, watchdog, calls to the outside."""
