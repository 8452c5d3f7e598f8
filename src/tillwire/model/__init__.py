"""The canonical model: events, documents, money and identifiers as plain structs. Imports nothing of ours."""
