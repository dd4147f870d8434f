"""PostgreSQL: connections, sessions, what each SQLSTATE means, rows and arrays, migrations."""
