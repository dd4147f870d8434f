"""What orders that are already there cost the next one."""
