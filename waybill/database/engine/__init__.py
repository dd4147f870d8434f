"""Django's database engine of the services: that of PostgreSQL, connected as every other program connects."""
