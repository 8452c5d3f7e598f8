"""The servers Tillwire brings along (PostgreSQL, NATS JetStream) and the supervisor that keeps processes alive."""
