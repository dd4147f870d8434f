"""Where the shop, its services and their databases are while the page is followed."""

PASSWORD = "kettles and pans"
APPS = ("reviews", "catalogue", "orders", "customers")
DATABASES = ("shop", "test_shop", *(f"{kind}_{app}" for kind in ("shop", "test") for app in APPS))
TOPICS = "shop."
