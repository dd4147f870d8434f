"""The contracts: what the services tell each other, as Avro schemas and the event classes generated from them."""
