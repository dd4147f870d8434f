"""Due tasks: rows that a worker attempts at their time, and how an operator settles one."""
