"""The event store: partitions with dense offsets, projections, replay, and the relay to the backbone."""
