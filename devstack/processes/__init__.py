"""The stack's processes: started, asked whether they are ready, kept running, stopped."""
