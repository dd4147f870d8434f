"""Payment providers that tests talk to over HTTP: the simulator, localstripe behind a proxy, and stripe-mock."""
