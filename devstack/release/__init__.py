"""One service of a running stack, brought to another version of the code: checked, migrated, rolled, taken back."""
