"""docs/how-to/leave-a-monolith.md, followed line by line (`make strangler`) while visitors use the shop."""
