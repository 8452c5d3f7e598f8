"""A retailer to try Tillwire on: real baskets, simulated stores, faults that really occur, and the proof at the end."""
