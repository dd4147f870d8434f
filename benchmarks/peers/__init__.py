"""Who else brings rows from PostgreSQL to Kafka, each started as its users start it and set as well as we could."""
