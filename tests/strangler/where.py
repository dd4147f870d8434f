"""Where the shop, its services and their databases are while the page is followed."""

PASSWORD = "kettles and pans"
APPS = ("reviews", "catalogue", "orders", "customers")
DATABASES = ("shop", *(f"shop_{app}" for app in APPS))
TOPICS = "shop."
