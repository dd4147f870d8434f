"""What is wrong now, over all services: `outbox doctor` and the overview of the console."""
