"""Event contracts: `.avsc` files, the codec, generated classes, compatibility, releases."""
