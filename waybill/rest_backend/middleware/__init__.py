"""What stands between a browser and views whose models are on services; each part is a Django middleware of its own."""
